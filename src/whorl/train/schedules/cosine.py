"""train/schedules/cosine: linear warmup, then half a cosine down to the floor.

Does not restart. Paper: https://arxiv.org/abs/1608.03983, without its restarts.
"""

import math

from pydantic import Field

from whorl.train.schedules import Schedule

__all__ = ["Cosine"]


class Cosine(Schedule):
    """Warmup is a fraction of the whole run; the cosine takes the rest."""

    warmup: float = Field(default=0.02, ge=0, lt=1)  # fraction of the run spent rising to the peak
    floor: float = Field(default=0.1, ge=0, le=1)  # fraction of the peak left at the end

    def factor(self, step: int, num_steps: int) -> float:
        """See Schedule.factor. The cosine reaches the floor one step after the last, so no step is wasted at 0."""
        rise = self.warmup * num_steps
        if step < rise:
            return min(1.0, (step + 1) / rise)
        done = (step - rise) / (num_steps - rise)
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * done))
