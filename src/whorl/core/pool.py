"""core/pool: map a function over shards, in this process or in several local ones, behind one interface.

Order of results is the order of the tasks, however many workers there are. A failed shard names itself.
"""

import contextlib
import ctypes
import gc
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import pyarrow as pa

from whorl.core.errors import DataError, ResourceError, WhorlError

__all__ = ["InlinePool", "Pool", "ProcessPool", "give_back_memory", "local_pool"]

_LONG_S = 0.5  # a task that took longer may have held a lot; after shorter ones looking would cost more than it brings

T = TypeVar("T")
R = TypeVar("R")


class Pool(Protocol):
    """Where map steps over data run."""

    @property
    def workers(self) -> int:
        """How many tasks can run at once."""
        ...

    def map(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
        """Results in the order of `tasks`. `function` is a module-level function; tasks and results are picklable.

        Raises DataError naming the task whose function failed, ResourceError when a worker died.
        """
        ...


@dataclass(frozen=True)
class InlinePool:
    """Everything in this process; the reference."""

    workers: int = 1

    def map(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
        """See Pool.map."""
        for task in tasks:
            yield _call(function, task)


@dataclass(frozen=True)
class ProcessPool:
    """Local worker processes, started fresh (spawn): no locks or threads are inherited.

    A worker starts when there is first work for it, stays for later maps and ends with this process: starting one and
    loading compiled kernels takes longer than many a shard.
    """

    workers: int
    _started: list[ProcessPoolExecutor] = field(default_factory=list, init=False, repr=False, compare=False)

    def map(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
        """See Pool.map."""
        try:
            yield from self._executor().map(_Call(function), tasks)
        except BrokenProcessPool as error:
            self._started.clear()
            raise ResourceError(
                f"a worker process died while mapping {function.__name__} over {len(tasks)} shards "
                f"(killed, or out of memory); try fewer workers than {self.workers}"
            ) from error

    def _executor(self) -> ProcessPoolExecutor:
        if not self._started:
            self._started.append(ProcessPoolExecutor(self.workers, mp_context=multiprocessing.get_context("spawn")))
        return self._started[0]


@dataclass(frozen=True)
class _Call(Generic[T, R]):
    """A picklable wrapper around the mapped function."""

    function: Callable[[T], R]

    def __call__(self, task: T) -> R:
        """Run the function, naming the task when it fails."""
        return _call(self.function, task)


def _call(function: Callable[[T], R], task: T) -> R:
    began = time.monotonic()
    try:
        return function(task)
    except WhorlError:
        raise
    except (ValueError, OSError, ArithmeticError, LookupError, TypeError) as error:
        raise DataError(f"{function.__name__} failed on {str(task)[:200]}: {type(error).__name__}: {error}") from error
    finally:
        if time.monotonic() - began > _LONG_S:
            give_back_memory()


def give_back_memory() -> None:
    """Return what a shard needed to the system before the next one asks.

    Both allocators keep what was freed, in pieces too small for the next arrays: after ten shards of 32 MB a process held
    1.5 GB of which it used 0.3 (docs/log.md, 2026-11-21).
    """
    gc.collect()  # columns and what was computed of them refer to each other
    pa.default_memory_pool().release_unused()
    with contextlib.suppress(AttributeError, OSError):  # glibc's; other systems have no such call
        ctypes.CDLL(None).malloc_trim(0)


def local_pool(workers: int = 0) -> Pool:
    """A pool of `workers` local processes; 0 means one per core, 1 means this process."""
    count = workers or (os.cpu_count() or 1)
    return InlinePool() if count == 1 else ProcessPool(count)
