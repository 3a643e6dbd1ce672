"""train/optimizers: the door of optimizers: a frozen config whose `build` takes a model's weights and gives a stepper.

A stepper owns the moments of the weights it was given and changes them in place. It does not clip, schedule, or zero
gradients: that is the loop's.

To add one, write a file here with one class deriving from Optimizer (`build`), and its test.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from whorl.core.config import Member
from whorl.train.weights import Weight

__all__ = ["Optimizer", "Stepper"]


class Stepper(Protocol):
    """The moments of one model's weights, and the update they imply."""

    @property
    def rates(self) -> Mapping[str, float]:
        """Peak learning rate of each group, for reports."""
        ...

    def step(self, factor: float) -> None:
        """Update every weight from its `.grad`, at `factor` times the peak rates."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Everything the next step depends on besides weights and gradients, by stable names; not copies."""
        ...

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what `state` gave, bit for bit. Raises ArtifactError when it belongs to another model."""
        ...


class Optimizer(Member, is_door=True):
    """How gradients become updates."""

    @abstractmethod
    def build(self, weights: Sequence[Weight], dtype: torch.dtype) -> Stepper:
        """A stepper over `weights` with empty moments. `dtype` is the compute dtype of the model, for heavy inner products."""
