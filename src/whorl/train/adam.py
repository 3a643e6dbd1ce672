"""train/adam: AdamW over named weights, with torch's fused kernel; what the optimizers build on for everything but matrices.

Does not choose what decays or how fast: its groups say so. Paper: https://arxiv.org/abs/1711.05101.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from whorl.core.errors import ArtifactError
from whorl.train.weights import Weight

__all__ = ["Adam", "Group", "check_state", "gradient_of"]

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass(frozen=True)
class Group:
    """Weights that share a peak rate and a decay (per unit of learning rate, decoupled from the gradient)."""

    label: str
    weights: tuple[Weight, ...]
    rate: float
    decay: float


class Adam:
    """A stepper (see optimizers.Stepper) around torch.optim.AdamW."""

    def __init__(self, groups: Sequence[Group], *, betas: tuple[float, float], eps: float) -> None:
        self._groups = tuple(group for group in groups if group.weights)
        self._weights = tuple(weight for group in self._groups for weight in group.weights)
        drawn = [
            {"params": [w.tensor for w in group.weights], "lr": group.rate, "weight_decay": group.decay}
            for group in self._groups
        ]
        self._adam = torch.optim.AdamW(drawn, betas=betas, eps=eps, fused=True) if drawn else None

    @property
    def rates(self) -> Mapping[str, float]:
        """See Stepper.rates."""
        return {group.label: group.rate for group in self._groups}

    def step(self, factor: float) -> None:
        """See Stepper.step."""
        if self._adam is None:
            return
        for weight in self._weights:
            gradient_of(weight)
        for drawn, group in zip(self._adam.param_groups, self._groups, strict=True):
            drawn["lr"] = group.rate * factor
        self._adam.step()

    def state(self) -> dict[str, Tensor]:
        """See Stepper.state. Empty before the first step."""
        if self._adam is None:
            return {}
        states = self._adam.state
        return {f"{w.name}.{key}": states[w.tensor][key] for w in self._weights if w.tensor in states for key in _MOMENTS}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """See Stepper.load."""
        if self._adam is None or not state:
            return
        wanted: dict[str, Tensor] = {f"{w.name}.{key}": w.tensor for w in self._weights for key in _MOMENTS[:2]}
        wanted |= {f"{w.name}.step": torch.empty(()) for w in self._weights}
        check_state(state, wanted)
        for weight in self._weights:
            device = weight.tensor.device
            self._adam.state[weight.tensor] = {key: state[f"{weight.name}.{key}"].to(device).clone() for key in _MOMENTS}


def check_state(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Raise ArtifactError, naming the first that differs, unless names and shapes are those of `wanted`."""
    for name in sorted(set(state) ^ set(wanted)):
        side = "missing from" if name in wanted else "not expected in"
        raise ArtifactError(f"optimizer state: '{name}' is {side} it; it was saved for another model or optimizer")
    for name, like in wanted.items():
        if state[name].shape != like.shape:
            raise ArtifactError(f"optimizer state: '{name}' is {tuple(state[name].shape)}, want {tuple(like.shape)}")


def gradient_of(weight: Weight) -> Tensor:
    """The gradient of a weight; every weight handed to a stepper must be reached by the loss."""
    assert weight.tensor.grad is not None, f"{weight.name} has no gradient: the loss does not reach it"
    return weight.tensor.grad
