"""train/group: weights that are updated alike, and what a step does to them once the direction is known.

Pulls towards zero are decoupled from the gradient, so that no moment rescales them: decay is a fraction of the weight
(https://arxiv.org/abs/1711.05101); L1 is a fixed amount that stops at zero, the proximal step of
https://jmlr.org/papers/v10/duchi09a.html, because a subgradient of it divided by Adam's moments is the same for all strengths
and never gives a zero. Does not find directions: steppers do.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from whorl.train.schedules import Moment, Schedule
from whorl.train.weights import Weight

__all__ = ["Course", "Group", "Move", "Room", "careful"]

Course = Literal["rate", "peak"] | Schedule
"""How pulls towards zero move over a run: with the learning rate, not at all, or by a schedule of their own."""

_FEWEST = 1e-3  # of a weight's entries that a cautious update is spread over, at least


class Move(NamedTuple):
    """One step of one group."""

    rate: float  # learning rate
    decay: float  # fraction of every weight that goes
    l1: float  # amount by which every weight comes nearer to zero, at most to it
    is_cautious: bool  # decay only where the update does not grow the weight

    def apply(self, weight: Tensor, update: Tensor, room: "Room") -> None:
        """Change the weight in place by `-rate * update` and the pulls; shapes are equal."""
        if self.decay and self.is_cautious:
            # >= as in https://arxiv.org/abs/2510.12402, algorithm 1: what no gradient moves does decay.
            agrees = torch.mul(weight, update, out=room.like(weight)).ge_(0)
            weight.addcmul_(weight, agrees, value=-self.decay)
        elif self.decay:
            weight.mul_(1 - self.decay)
        weight.add_(update, alpha=-self.rate)
        self.soften(weight, room)

    def soften(self, weight: Tensor, room: "Room") -> None:
        """Only the pull of L1."""
        if self.l1:
            weight.sub_(torch.clamp(weight, -self.l1, self.l1, out=room.like(weight)))


class Room:
    """Memory for one tensor at a time, the same at every call: fresh pages cost more than the arithmetic done in them."""

    def __init__(self) -> None:
        self._held = torch.empty(0)

    def like(self, tensor: Tensor) -> Tensor:
        """A contiguous float32 tensor of this shape, on its device, with anything in it."""
        if self._held.numel() < tensor.numel() or self._held.device != tensor.device:
            self._held = torch.empty(tensor.numel(), dtype=torch.float32, device=tensor.device)
        return self._held[: tensor.numel()].view(tensor.shape)


@dataclass(frozen=True)
class Group:
    """Weights that share a peak rate and everything else."""

    label: str
    weights: tuple[Weight, ...]
    rate: float
    decay: float = 0.0  # per unit of learning rate
    l1: float = 0.0  # per unit of learning rate
    course: Course = "rate"  # of decay and L1
    cautious_decay: bool = False  # see Move
    cautious: bool = False  # see `careful`

    def move(self, factor: float, moment: Moment | None) -> Move:
        """What a step does at `factor` times the peak rate."""
        pull = self.rate * self.pull_factor(factor, moment)
        return Move(self.rate * factor, self.decay * pull, self.l1 * pull, self.cautious_decay)

    def pull_factor(self, factor: float, moment: Moment | None) -> float:
        """What multiplies decay and L1 besides the peak rate."""
        if isinstance(self.course, Schedule):
            assert moment is not None, "a schedule of decay's own needs to be told where in the run a step is"
            return self.course.factor(moment)
        return factor if self.course == "rate" else 1.0


def careful(update: Tensor, gradient: Tensor, room: Room) -> None:
    """Keep, in place, the entries of an update that this very gradient agrees with, and make up for the others in size.

    https://arxiv.org/abs/2411.16085
    """
    agrees = torch.mul(update, gradient, out=room.like(update)).gt_(0)
    update.mul_(agrees).div_(agrees.mean().clamp(min=_FEWEST))
