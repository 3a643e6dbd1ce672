"""train/optimizers/sgd: stochastic gradient descent with (Nesterov) momentum and decoupled weight decay.

For comparisons and for models that are nearly convex; transformers want more (https://arxiv.org/abs/2402.19449 says why). Does
not dampen momentum: the steady step is `rate / (1 - momentum)` gradients long. Momentum as in
https://proceedings.mlr.press/v28/sutskever13.html, with the rate outside of it.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from pydantic import Field
from torch import Tensor

from whorl.train.elementwise import Elementwise
from whorl.train.fused import Fused, judges
from whorl.train.optimizers import Optimizer, Stepper
from whorl.train.weights import Weight

__all__ = ["Sgd"]


class Sgd(Optimizer):
    """One rate, one momentum."""

    rate: float = Field(default=0.1, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)  # 0: none is kept
    nesterov: bool = True  # look one step of momentum ahead

    def build(self, weights: Sequence[Weight], dtype: torch.dtype) -> Stepper:
        """See Optimizer.build. The arithmetic is float32 whatever the model computes in."""
        del dtype
        groups = self.groups("sgd", weights, rate=self.rate)
        if judges(groups):
            return Elementwise(groups, _SgdRule(self.momentum, nesterov=self.nesterov))
        looks_ahead = self.nesterov and self.momentum > 0
        optimizer = partial(torch.optim.SGD, momentum=self.momentum, nesterov=looks_ahead, fused=True)
        return Fused(groups, optimizer, moments={"momentum": "momentum_buffer"} if self.momentum else {}, decays=False)


class _SgdRule:
    """See Rule."""

    def __init__(self, momentum: float, *, nesterov: bool) -> None:
        self._momentum = momentum
        self._nesterov = nesterov

    def fresh(self, weight: Tensor) -> dict[str, Tensor]:
        return {"momentum": torch.zeros_like(weight)} if self._momentum else {}

    def write(self, gradient: Tensor, moments: Mapping[str, Tensor], *, out: Tensor) -> None:
        if not self._momentum:
            out.copy_(gradient)
            return
        momentum = moments["momentum"].mul_(self._momentum).add_(gradient)
        if self._nesterov:
            torch.add(gradient, momentum, alpha=self._momentum, out=out)
        else:
            out.copy_(momentum)
