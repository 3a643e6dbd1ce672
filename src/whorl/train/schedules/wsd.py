"""train/schedules/wsd: linear warmup, a stable stretch, then a decay to the floor over the last part of the run.

Does not know when to branch a decay off a longer run. Shapes: https://arxiv.org/abs/2404.06395 (stable then decay) and
https://arxiv.org/abs/2405.18392 (1 - sqrt).
"""

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from whorl.core.errors import ConfigError
from whorl.core.quantity import Length
from whorl.train.schedules import Moment, Schedule, Stretch, risen, stretch_steps

__all__ = ["Wsd"]


class Wsd(Schedule):
    """Warmup, stable, decay. Written as fractions of the run, the shape is the same for any length."""

    warmup: Stretch = 0.02  # spent rising to the peak
    decay: Stretch = 0.6  # spent falling, at the end; short runs like 40 to 65 %
    floor: float = Field(default=0.0, ge=0, le=1)  # fraction of the peak left at the end
    shape: Literal["linear", "sqrt"] = "linear"  # `sqrt` falls as 1 - sqrt(t): faster first, slower last

    @model_validator(mode="after")
    def _stretches_fit(self) -> Self:
        warmup, decay = self.warmup, self.decay
        if not isinstance(warmup, Length) and not isinstance(decay, Length) and warmup + decay > 1:
            raise ValueError(f"warmup={self.warmup} and decay={self.decay} overlap: want warmup + decay <= 1")
        return self

    def factor(self, moment: Moment) -> float:
        """See Schedule.factor. The first step is already above 0 and the last is above the floor: no step is wasted."""
        rise, fall = stretch_steps(self.warmup, moment), stretch_steps(self.decay, moment)
        if rise + fall > moment.num_steps * (1 + 1e-9):  # fractions that sum to 1 may round above it
            run = f"the run of {moment.total} tokens"
            raise ConfigError(f"schedule wsd: warmup={self.warmup} and decay={self.decay} overlap in {run}; shorten one")
        rising = risen(moment, rise)
        if rising is not None:
            return rising
        left = moment.num_steps - moment.step  # 1 on the last step
        if left >= fall:
            return 1.0
        done = 1 - left / fall
        drop = math.sqrt(done) if self.shape == "sqrt" else done
        return self.floor + (1 - self.floor) * (1 - drop)
