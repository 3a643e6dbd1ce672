"""train/schedules/linear: linear warmup, then a straight line down to the floor.

Does not hold the peak; `wsd` does. Paper (a straight line to 0 beats a cosine to a tenth at many tokens a parameter):
https://arxiv.org/abs/2502.15938.
"""

from pydantic import Field

from whorl.train.schedules import Moment, Schedule, Stretch, fallen

__all__ = ["Linear"]


class Linear(Schedule):
    """The line takes what the warmup leaves of the run."""

    warmup: Stretch = 0.02  # spent rising to the peak
    floor: float = Field(default=0.0, ge=0, le=1)  # fraction of the peak left at the end

    def factor(self, moment: Moment) -> float:
        """See Schedule.factor."""
        return fallen(moment, warmup=self.warmup, floor=self.floor, shape=lambda done: 1 - done)
