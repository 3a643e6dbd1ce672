"""tokens/workers: fetch batches ahead of who uses them, on threads, in order.

`batch_of` is a pure function of the step and the compiled part of it runs without the interpreter's lock, so any number of
workers gives the stream that one gives, from whichever step it begins. Does not divide a batch among ranks: `batch_of` reads
the share it was made for.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

__all__ = ["ahead"]

B = TypeVar("B")


def ahead(batch_of: Callable[[int], B], first: int, stop: int, *, workers: int = 1) -> Iterator[B]:
    """`batch_of(first)` to `batch_of(stop - 1)`, each asked for once; `workers` of them are being made while one is used.

    Memory holds `workers` batches besides the one in use. An error of a batch is raised where that batch is due.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="batches") as pool:
        steps = iter(range(first, stop))
        pending = deque(pool.submit(batch_of, step) for step in islice(steps, workers))
        try:
            while pending:
                batch = pending.popleft().result()
                pending.extend(pool.submit(batch_of, step) for step in islice(steps, 1))
                yield batch
        finally:
            for future in pending:
                future.cancel()
