"""train/elementwise: a stepper that follows a rule entry by entry: how a gradient and a weight's moments give a direction.

One weight after another, in whole tensors. Does not know any rule: an optimizer brings one.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from whorl.train.group import Group, Room, careful
from whorl.train.moments import check_state
from whorl.train.schedules import Moment
from whorl.train.weights import gradient_of

__all__ = ["Elementwise", "Rule"]


class Rule(Protocol):
    """What tells one optimizer from another."""

    def fresh(self, weight: Tensor) -> dict[str, Tensor]:
        """Moments before the first step, by name."""
        ...

    def write(self, gradient: Tensor, moments: Mapping[str, Tensor], *, out: Tensor) -> None:
        """Write the direction (the weight goes the other way) to `out` and change the moments in place, not the gradient."""
        ...


class Elementwise:
    """A stepper (see optimizers.Stepper) over groups by one rule."""

    def __init__(self, groups: Sequence[Group], rule: Rule) -> None:
        self._groups = tuple(group for group in groups if group.weights)
        self._rule = rule
        self._moments = {w.name: rule.fresh(w.tensor.detach()) for group in self._groups for w in group.weights}
        self._update_room, self._room = Room(), Room()

    @property
    def rates(self) -> Mapping[str, float]:
        """See Stepper.rates."""
        return {group.label: group.rate for group in self._groups}

    @torch.no_grad()
    def step(self, factor: float, moment: Moment | None = None, *, shrink: Float[Tensor, ""] | None = None) -> None:
        """See Stepper.step."""
        gradients = {w.name: gradient_of(w) for group in self._groups for w in group.weights}
        for group in self._groups:
            move = group.move(factor, moment)
            for weight in group.weights:
                gradient = gradients[weight.name]
                if shrink is not None:
                    gradient.mul_(shrink)  # not all gradients at once: this one is still in the cache when the rule reads it
                update = self._update_room.like(weight.tensor)
                self._rule.write(gradient, self._moments[weight.name], out=update)
                if group.cautious:
                    careful(update, gradient, self._room)
                move.apply(weight.tensor, update, self._room)

    def state(self) -> dict[str, Tensor]:
        """See Stepper.state."""
        return {f"{name}.{key}": tensor for name, moments in self._moments.items() for key, tensor in moments.items()}

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """See Stepper.load."""
        mine = self.state()
        check_state(state, mine)
        for name, tensor in mine.items():
            tensor.copy_(state[name])
