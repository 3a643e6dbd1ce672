"""train/adam: Adam with decoupled weight decay over groups of weights; what optimizers build on for all but their own.

Does not choose what decays or how fast: its groups say so. Paper: https://arxiv.org/abs/1711.05101.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from whorl.train.elementwise import Elementwise
from whorl.train.fused import Fused, judges
from whorl.train.group import Group

__all__ = ["adam"]

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def adam(groups: Sequence[Group], *, betas: tuple[float, float], eps: float) -> Fused | Elementwise:
    """The faster stepper that does what the groups ask; state has the same names and meaning either way."""
    if judges(groups):
        return Elementwise(groups, _AdamRule(betas, eps))
    optimizer = partial(torch.optim.AdamW, betas=betas, eps=eps, fused=True)
    return Fused(groups, optimizer, moments={name: name for name in _MOMENTS}, decays=True)


class _AdamRule:
    """See Rule. `step` is a tensor, as the fused kernel keeps it."""

    def __init__(self, betas: tuple[float, float], eps: float) -> None:
        self._betas = betas
        self._eps = eps

    def fresh(self, weight: Tensor) -> dict[str, Tensor]:
        return {"exp_avg": torch.zeros_like(weight), "exp_avg_sq": torch.zeros_like(weight), "step": torch.zeros(())}

    def write(self, gradient: Tensor, moments: Mapping[str, Tensor], *, out: Tensor) -> None:
        mean, square, step = (moments[key] for key in _MOMENTS)
        first, second = self._betas
        step += 1
        count = int(step)  # on the CPU, whatever the device: nobody waits
        mean.lerp_(gradient, 1 - first)
        square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        torch.sqrt(square, out=out).div_((1 - second**count) ** 0.5).add_(self._eps)
        torch.div(mean, out, out=out).div_(1 - first**count)
