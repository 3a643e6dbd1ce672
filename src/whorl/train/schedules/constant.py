"""train/schedules/constant: linear warmup, then the peak to the end.

Does not fall: for runs that somebody else ends, and for short tuning. Warm-up: https://arxiv.org/abs/1706.02677.
"""

from whorl.train.schedules import Moment, Schedule, Stretch, risen, stretch_steps

__all__ = ["Constant"]


class Constant(Schedule):
    """`warmup: 0` keeps the peak from the first step."""

    warmup: Stretch = 0.02  # spent rising to the peak

    def factor(self, moment: Moment) -> float:
        """See Schedule.factor."""
        rising = risen(moment, stretch_steps(self.warmup, moment))
        return 1.0 if rising is None else rising
