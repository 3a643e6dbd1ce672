"""corpus/shard_map: run a step over shards with progress, and stop between shards when the user asks."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from whorl.core.pool import InlinePool
from whorl.core.stage import Job, Stopped

__all__ = ["mapped"]

T = TypeVar("T")
R = TypeVar("R")


def mapped(job: Job, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
    """Results in the order of the tasks. Finished shards stay in the cache when the user stops the run (raises Stopped)."""
    # A worker process takes longer to start than a single shard to finish.
    pool = job.pool if len(tasks) > 1 else InlinePool()
    name = function.__name__.strip("_").replace("_", " ")
    for done, result in enumerate(pool.map(function, tasks), start=1):
        job.events.progress(done, len(tasks), "shards", step_name=name)
        yield result
        if job.stop.is_set() and done < len(tasks):
            raise Stopped
