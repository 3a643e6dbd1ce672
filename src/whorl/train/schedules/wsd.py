"""train/schedules/wsd: linear warmup, a stable stretch, then a decay to the floor over the last part of the run.

Does not know when to branch a decay off a longer run. Shapes: https://arxiv.org/abs/2404.06395 (stable then decay) and
https://arxiv.org/abs/2405.18392 (1 - sqrt).
"""

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from whorl.train.schedules import Schedule

__all__ = ["Wsd"]


class Wsd(Schedule):
    """Warmup, stable, decay. Fractions are of the whole run, so the shape is the same for any length."""

    warmup: float = Field(default=0.02, ge=0, le=1)  # fraction of the run spent rising to the peak
    decay: float = Field(default=0.6, ge=0, le=1)  # fraction of the run spent falling; short runs like 40 to 65 %
    floor: float = Field(default=0.0, ge=0, le=1)  # fraction of the peak left at the end
    shape: Literal["linear", "sqrt"] = "linear"  # `sqrt` falls as 1 - sqrt(t): faster first, slower last

    @model_validator(mode="after")
    def _stretches_fit(self) -> Self:
        if self.warmup + self.decay > 1:
            raise ValueError(f"warmup={self.warmup} and decay={self.decay} overlap: want warmup + decay <= 1")
        return self

    def factor(self, step: int, num_steps: int) -> float:
        """See Schedule.factor. The first step is already above 0 and the last is above the floor: no step is wasted."""
        rise, fall = self.warmup * num_steps, self.decay * num_steps
        if step < rise:
            return min(1.0, (step + 1) / rise)
        left = num_steps - step  # 1 on the last step
        if left >= fall:
            return 1.0
        done = 1 - left / fall
        drop = math.sqrt(done) if self.shape == "sqrt" else done
        return self.floor + (1 - self.floor) * (1 - drop)
