"""train/probe: how long a step takes on this machine, from a few of them.

A clock: what it says is pinned once by whoever asks, and never enters a result by itself.
"""

import statistics
import time
from dataclasses import replace
from itertools import pairwise
from typing import Final

from whorl.train.loop import Pieces, train
from whorl.train.schedules import Moment

__all__ = ["PROBE_STEPS", "step_seconds"]

PROBE_STEPS: Final = 12
_WARMUP = 4  # of them, not counted: allocators and caches fill


def step_seconds(pieces: Pieces) -> float:
    """The median time of the steps of these pieces, of which there are PROBE_STEPS. Changes the weights."""
    ends = []
    # At the peak and in a run without end: a stretch of a schedule written in tokens need not fit the few steps of a probe.
    endless = Moment(before=0, after=1, total=2**62)
    for step in train(replace(pieces, factor=lambda _: 1.0, moment_of=lambda _: endless), 0):
        float(step.nats)  # wait for the device
        ends.append(time.monotonic())
    return statistics.median(later - earlier for earlier, later in pairwise(ends[_WARMUP:]))
