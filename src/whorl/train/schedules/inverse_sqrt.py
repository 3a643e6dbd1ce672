"""train/schedules/inverse_sqrt: linear warmup, then down with the inverse square root of the tokens trained.

Needs no known end: with a warmup written in tokens, a longer run begins as a shorter one did. Does not reach 0. Paper:
https://arxiv.org/abs/1706.03762, section 5.3.
"""

import math
from typing import Self

from pydantic import model_validator

from whorl.core.quantity import Length
from whorl.train.schedules import Moment, Schedule, Stretch, risen, stretch_steps

__all__ = ["InverseSqrt"]


class InverseSqrt(Schedule):
    """Halves each time the tokens since the start are four times as many as the warmup's, the peak being at its end."""

    warmup: Stretch = 0.02  # spent rising to the peak; it sets the scale of the fall

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if (self.warmup.amount if isinstance(self.warmup, Length) else self.warmup) <= 0:
            raise ValueError("warmup=0: the fall is measured in warmups; want more than 0, or `use: constant`")
        return self

    def factor(self, moment: Moment) -> float:
        """See Schedule.factor."""
        rise = stretch_steps(self.warmup, moment)
        rising = risen(moment, rise)
        return math.sqrt(rise / moment.step) if rising is None else rising
