"""train/fused: a stepper around one of torch's optimizers with a fused kernel: one pass over weights, gradients and moments.

The kernel does not give directions away, so groups that judge them (cautious ones) cannot use it: train/elementwise can. Pulls
towards zero that the kernel does not know are applied around it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from whorl.train.group import Group, Room
from whorl.train.moments import check_state
from whorl.train.schedules import Moment
from whorl.train.weights import Weight, gradient_of

__all__ = ["Fused", "judges"]

_COUNT = "step"  # the one moment that is not of the shape of its weight


def judges(groups: Sequence[Group]) -> bool:
    """Whether any of these groups needs to see directions."""
    return any(group.cautious or (group.cautious_decay and group.decay) for group in groups)


class Fused:
    """A stepper (see optimizers.Stepper). None of its groups may be cautious."""

    def __init__(
        self,
        groups: Sequence[Group],
        optimizer: Callable[[list[dict[str, Any]]], torch.optim.Optimizer],
        *,
        moments: Mapping[str, str],
        decays: bool,
    ) -> None:
        """`moments`: our names of them and torch's. `decays`: its `weight_decay` is decoupled and follows the rate."""
        self._groups = tuple(group for group in groups if group.weights)
        self._weights = tuple(weight for group in self._groups for weight in group.weights)
        self._moments = moments
        self._in_kernel = [decays and group.course == "rate" for group in self._groups]
        drawn = [
            {"params": [w.tensor for w in group.weights], "lr": group.rate, "weight_decay": group.decay if inside else 0.0}
            for group, inside in zip(self._groups, self._in_kernel, strict=True)
        ]
        self._optimizer = optimizer(drawn) if drawn else None
        self._room = Room()

    @property
    def rates(self) -> Mapping[str, float]:
        """See Stepper.rates."""
        return {group.label: group.rate for group in self._groups}

    @torch.no_grad()
    def step(self, factor: float, moment: Moment | None = None, *, shrink: Float[Tensor, ""] | None = None) -> None:
        """See Stepper.step. The kernel shrinks gradients in its one pass."""
        if self._optimizer is None:
            return
        for weight in self._weights:
            gradient_of(weight)
        moves = [group.move(factor, moment) for group in self._groups]
        for index, (group, move) in enumerate(zip(self._groups, moves, strict=True)):
            self._optimizer.param_groups[index]["lr"] = move.rate
            if move.decay and not self._in_kernel[index]:
                torch._foreach_mul_([w.tensor for w in group.weights], 1 - move.decay)
        # What torch's GradScaler sets: the kernel divides gradients by it, and writes them back.
        self._optimizer.grad_scale = None if shrink is None else shrink.reciprocal()  # type: ignore[attr-defined]
        self._optimizer.step()
        for group, move in zip(self._groups, moves, strict=True):
            for weight in group.weights if move.l1 else ():
                move.soften(weight.tensor, self._room)

    def state(self) -> dict[str, Tensor]:
        """See Stepper.state. Empty before the first step."""
        if self._optimizer is None:
            return {}
        states = self._optimizer.state
        touched = [weight for weight in self._weights if weight.tensor in states]
        return {f"{w.name}.{ours}": states[w.tensor][theirs] for w in touched for ours, theirs in self._moments.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """See Stepper.load."""
        if self._optimizer is None or not state:
            return
        check_state(state, {f"{w.name}.{ours}": self._like(w, ours) for w in self._weights for ours in self._moments})
        for weight in self._weights:
            device = weight.tensor.device
            saved = {theirs: state[f"{weight.name}.{ours}"] for ours, theirs in self._moments.items()}
            self._optimizer.state[weight.tensor] = {name: tensor.to(device).clone() for name, tensor in saved.items()}

    def _like(self, weight: Weight, moment: str) -> Tensor:
        return torch.empty(()) if moment == _COUNT else weight.tensor
