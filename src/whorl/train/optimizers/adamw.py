"""train/optimizers/adamw: Adam with decoupled weight decay, on matrices (and the head) only unless told otherwise.

Does not scale rates with width. Paper: https://arxiv.org/abs/1711.05101.
"""

from collections.abc import Sequence

import torch
from pydantic import Field

from whorl.train.adam import adam
from whorl.train.optimizers import Optimizer, Stepper
from whorl.train.weights import Weight

__all__ = ["Adamw"]


class Adamw(Optimizer):
    """Rates and decay are those of a step at the schedule's peak."""

    rate: float = Field(default=3e-3, gt=0)  # models of a few million parameters; 3e-4 near a billion
    betas: tuple[float, float] = (0.9, 0.95)  # the second: https://arxiv.org/abs/2005.14165, appendix B
    eps: float = Field(default=1e-8, gt=0)
    decay: float = Field(default=0.1, ge=0)  # per unit of learning rate

    def build(self, weights: Sequence[Weight], dtype: torch.dtype) -> Stepper:
        """See Optimizer.build. The arithmetic is float32 whatever the model computes in."""
        del dtype
        return adam(self.groups("adamw", weights, rate=self.rate), betas=self.betas, eps=self.eps)
