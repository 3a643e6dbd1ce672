"""train/scaler: the factor on the loss that keeps float16 gradients within range.

Grows while gradients stay finite and shrinks when they do not; such a step is left out. Powers of two only, so scaling rounds
nothing. Every other precision has a constant factor of one. Does not touch gradients: the loop undoes `scale` by
what it tells the optimizer to shrink them by. Mixed precision with loss scaling: https://arxiv.org/abs/1710.03740.
"""

import math
from collections.abc import Mapping
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["LossScale"]

FIRST: Final = 2.0**16
_LEAST: Final = 2.0**-14  # a gradient that overflows below this is no matter of range: the guard's to judge
_MOST: Final = 2.0**24
_STEPS_TO_GROW: Final = 1000  # without an overflow


class LossScale:
    """The scale of the next step; changes only where it is dynamic."""

    def __init__(self, *, is_dynamic: bool) -> None:
        self.is_dynamic = is_dynamic
        self.scale = FIRST if is_dynamic else 1.0
        self.overflows = 0  # steps that were left out
        self._calm = 0  # steps since the last change

    def overflows_at(self, nats: Float[Tensor, ""], norm: Float[Tensor, ""]) -> bool:
        """Whether this step's gradient left the range though its loss did not; learns from the answer.

        Waits for the device where the scale is dynamic, and nowhere else.
        """
        if not self.is_dynamic or not math.isfinite(float(nats)):
            return False
        if math.isfinite(float(norm)):
            self._calm += 1
            if self._calm >= _STEPS_TO_GROW:
                self.scale, self._calm = min(2 * self.scale, _MOST), 0
            return False
        if self.scale <= _LEAST:
            return False
        self.scale, self._calm = self.scale / 2, 0
        self.overflows += 1
        return True

    def state(self) -> dict[str, Tensor]:
        """Everything the next step depends on."""
        return {"scale": torch.tensor([self.scale, self.overflows, self._calm], dtype=torch.float64)}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what `state` gave."""
        scale, overflows, calm = state["scale"].tolist()
        self.scale, self.overflows, self._calm = scale, int(overflows), int(calm)
