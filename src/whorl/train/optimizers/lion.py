"""train/optimizers/lion: the sign of a momentum, one rate for every entry; half the memory of Adam's moments.

Every entry of every weight moves by exactly the learning rate (0 where nothing pulls), so rates are three to ten times smaller
than AdamW's and decay as many times larger. Does not adapt to the size of gradients. Paper: https://arxiv.org/abs/2302.06675.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from whorl.train.elementwise import Elementwise
from whorl.train.optimizers import Optimizer, Stepper
from whorl.train.weights import Weight

__all__ = ["Lion"]

_Beta = Annotated[float, Field(gt=0, lt=1)]


class Lion(Optimizer):
    """`betas`: how much of the momentum is in the direction, and how much of it lasts to the next step."""

    rate: float = Field(default=5e-4, gt=0)  # a sixth of AdamW's default
    betas: tuple[_Beta, _Beta] = (0.9, 0.99)  # the paper's
    decay: float = Field(default=0.6, ge=0)  # per unit of learning rate: the product is AdamW's default's

    def build(self, weights: Sequence[Weight], dtype: torch.dtype) -> Stepper:
        """See Optimizer.build. The arithmetic is float32 whatever the model computes in."""
        del dtype
        return Elementwise(self.groups("lion", weights, rate=self.rate), _LionRule(self.betas))


class _LionRule:
    """See Rule."""

    def __init__(self, betas: tuple[float, float]) -> None:
        self._mixed, self._lasting = betas

    def fresh(self, weight: Tensor) -> dict[str, Tensor]:
        return {"momentum": torch.zeros_like(weight)}

    def write(self, gradient: Tensor, moments: Mapping[str, Tensor], *, out: Tensor) -> None:
        momentum = moments["momentum"]
        # beta * momentum + (1 - beta) * gradient, divided by beta: one pass, and signs are the same.
        torch.add(momentum, gradient, alpha=(1 - self._mixed) / self._mixed, out=out).sign_()
        momentum.lerp_(gradient, 1 - self._lasting)
