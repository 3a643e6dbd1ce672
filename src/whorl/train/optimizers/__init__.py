"""train/optimizers: the door of optimizers: a frozen config whose `build` takes a model's weights and gives a stepper.

A stepper owns the moments of the weights it was given and changes them in place. It does not clip (it is told how much to
shrink gradients by, because it reads them anyway), schedule, or zero gradients: that is the loop's.

To add one, write a file here with one class deriving from Optimizer (`build`), and its test.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Protocol

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from whorl.core.config import Member
from whorl.train.group import Course, Group
from whorl.train.schedules import Moment
from whorl.train.weights import Role, Weight

__all__ = ["Optimizer", "Stepper"]


class Stepper(Protocol):
    """The moments of one model's weights, and the update they imply."""

    @property
    def rates(self) -> Mapping[str, float]:
        """Peak learning rate of each group, for reports."""
        ...

    def step(self, factor: float, moment: Moment | None = None, *, shrink: Float[Tensor, ""] | None = None) -> None:
        """Update every weight from its `.grad`, at `factor` times the peak rates.

        `moment` is where in the run the step is; needed where decay has a schedule of its own. `shrink` (float32, on the
        device of the weights): gradients count so many times as much, and are left so; without it they stay as they are.
        """
        ...

    def state(self) -> dict[str, Tensor]:
        """Everything the next step depends on besides weights and gradients, by stable names; not copies."""
        ...

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what `state` gave, bit for bit. Raises ArtifactError when it belongs to another model."""
        ...


class Optimizer(Member, is_door=True):
    """How gradients become updates. What every optimizer can be told; each sets defaults of its own."""

    rate: float = Field(gt=0)  # peak learning rate
    rates: dict[Role, Annotated[float, Field(ge=0)]] = Field(default={})  # peaks of roles that have another
    decay: float = Field(default=0.0, ge=0)  # of weights, per unit of learning rate, decoupled from the gradient
    l1: float = Field(default=0.0, ge=0)  # distance towards zero per unit of learning rate, decoupled; makes exact zeros
    decayed: tuple[Role, ...] = ("matrix", "head")  # roles that decay and L1 act on; norms, biases, embeddings keep their size
    decay_schedule: Course = "rate"  # of decay and L1: as the learning rate, at its peak all along, or its own
    cautious_decay: bool = False  # only where the update does not grow the weight: https://arxiv.org/abs/2510.12402
    cautious: bool = False  # update only where this step's gradient agrees: https://arxiv.org/abs/2411.16085

    @abstractmethod
    def build(self, weights: Sequence[Weight], dtype: torch.dtype) -> Stepper:
        """A stepper over `weights` with empty moments. `dtype` is the compute dtype of the model, for heavy inner products."""

    def groups(self, label: str, weights: Iterable[Weight], *, rate: float) -> tuple[Group, ...]:
        """The weights, those of like treatment together: one kernel call each. `rate` is that of roles without their own.

        A role with a rate of its own is its group's label, too.
        """
        alike: dict[Group, list[Weight]] = {}
        for weight in weights:
            alike.setdefault(self._treatment(weight.role, label, rate), []).append(weight)
        return tuple(replace(group, weights=tuple(members)) for group, members in alike.items())

    def _treatment(self, role: Role, label: str, rate: float) -> Group:
        """A group of this role, without weights."""
        is_pulled = role in self.decayed
        return Group(
            label=role if role in self.rates else label,
            weights=(),
            rate=self.rates.get(role, rate),
            decay=self.decay if is_pulled else 0.0,
            l1=self.l1 if is_pulled else 0.0,
            course=self.decay_schedule,
            cautious_decay=self.cautious_decay,
            cautious=self.cautious,
        )
