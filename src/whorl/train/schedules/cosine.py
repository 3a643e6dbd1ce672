"""train/schedules/cosine: linear warmup, then half a cosine down to the floor.

Does not restart. Paper: https://arxiv.org/abs/1608.03983, without its restarts.
"""

import math

from pydantic import Field

from whorl.train.schedules import Moment, Schedule, Stretch, risen, stretch_steps

__all__ = ["Cosine"]


class Cosine(Schedule):
    """The cosine takes what the warmup leaves of the run."""

    warmup: Stretch = 0.02  # spent rising to the peak
    floor: float = Field(default=0.1, ge=0, le=1)  # fraction of the peak left at the end

    def factor(self, moment: Moment) -> float:
        """See Schedule.factor. The cosine reaches the floor one step after the last, so no step is wasted at 0."""
        rise = stretch_steps(self.warmup, moment)
        rising = risen(moment, rise)
        if rising is not None:
            return rising
        done = (moment.step - rise) / (moment.num_steps - rise)
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * done))
