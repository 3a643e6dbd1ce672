"""corpus/shard_map: run a step over shards with progress, and stop between shards when the user asks."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from whorl.core.pool import InlinePool
from whorl.core.stage import Job, Stopped

__all__ = ["mapped"]

T = TypeVar("T")
R = TypeVar("R")


def mapped(job: Job, function: Callable[[T], R], tasks: Sequence[T], *, sizes: Sequence[int] = ()) -> Iterator[R]:
    """Results in the order of the tasks. Finished shards stay in the cache when the user stops the run (raises Stopped).

    Progress counts shards, or bytes where `sizes` says how many each task reads.
    """
    # A worker process takes longer to start than a single shard to finish.
    pool = job.pool if len(tasks) > 1 else InlinePool()
    name = function.__name__.strip("_").replace("_", " ")
    steps, unit = (sizes, "bytes") if sum(sizes) else ([1] * len(tasks), "shards")
    total = sum(steps)
    passed = 0
    for done, result in enumerate(pool.map(function, tasks), start=1):
        passed += steps[done - 1]
        job.events.progress(passed, total, unit, step_name=name, shards_done=done)
        yield result
        if job.stop.is_set() and done < len(tasks):
            raise Stopped
