"""train/quiet: torch as a stage wants it, and afterwards as it was: threads, generator, and what the garbage collector knows.

Does not choose how many threads there are by default on which machine: one per core.
"""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from whorl.model.parallel import set_threads

__all__ = ["forget_garbage", "quiet"]


@contextmanager
def quiet(threads: int | None) -> Iterator[None]:
    """Inside, torch has this many threads, and whatever is drawn leaves no trace outside."""
    before = torch.get_num_threads()
    set_threads(threads or os.cpu_count() or 1)
    try:
        with torch.random.fork_rng():
            yield
    finally:
        gc.unfreeze()
        set_threads(before)


def forget_garbage() -> None:
    """What lives now lives to the end: it is not searched for garbage at every step."""
    gc.collect()
    gc.freeze()
