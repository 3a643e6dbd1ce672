"""train/best: the weights that measured best on held-out text, and whether it is time to stop looking for better ones.

Kept in main memory: one more copy of the weights, off the device. Ties go to the earlier look.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from whorl.train.state import WatchPoint

__all__ = ["Best", "best_of", "is_spent"]


def best_of(looks: Sequence[WatchPoint]) -> WatchPoint | None:
    """The lowest measure, the first of equals; None when none is finite."""
    measured = [look for look in looks if math.isfinite(look.bits_per_byte)]
    return min(measured, key=lambda look: look.bits_per_byte, default=None)


def is_spent(looks: Sequence[WatchPoint], patience: int) -> bool:
    """Whether the last `patience` looks were no better than one before them."""
    best = best_of(looks)
    return best is not None and sum(look.step > best.step for look in looks) >= patience


class Best:
    """The best weights so far, by parameter name; none before the first look."""

    def __init__(self) -> None:
        self._weights: dict[str, Tensor] = {}

    def take(self, model: nn.Module) -> None:
        """Keep a copy of the weights as they are now."""
        self._weights = {name: tensor.detach().to("cpu", copy=True) for name, tensor in model.state_dict().items()}

    @torch.no_grad()
    def put(self, model: nn.Module) -> None:
        """Give them back to the model; does nothing when none were taken."""
        mine = model.state_dict()
        for name, tensor in self._weights.items():
            mine[name].copy_(tensor)

    def state(self) -> dict[str, Tensor]:
        """The weights; not copies."""
        return dict(self._weights)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what `state` gave."""
        self._weights = {name: state[name].clone() for name in state}
