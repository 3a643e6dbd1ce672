"""train/schedules/cosine: linear warmup, then half a cosine down to the floor.

Does not restart. Paper: https://arxiv.org/abs/1608.03983, without its restarts.
"""

import math

from pydantic import Field

from whorl.train.schedules import Moment, Schedule, Stretch, fallen

__all__ = ["Cosine"]


class Cosine(Schedule):
    """The cosine takes what the warmup leaves of the run."""

    warmup: Stretch = 0.02  # spent rising to the peak
    floor: float = Field(default=0.1, ge=0, le=1)  # fraction of the peak left at the end

    def factor(self, moment: Moment) -> float:
        """See Schedule.factor."""
        return fallen(moment, warmup=self.warmup, floor=self.floor, shape=_half_cosine)


def _half_cosine(done: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * done))
