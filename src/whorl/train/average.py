"""train/average: a running average of the weights, exponential in tokens, in float32.

Debiased, so that the first step counts in full and early averages are not pulled towards the starting weights. Costs one more
copy of the weights. Does not average moments. https://arxiv.org/abs/1412.6980, section 7.2.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from whorl.core.config import Config
from whorl.core.quantity import Length

__all__ = ["Average", "Averaged", "Use"]

Use = Literal["checkpoint", "watch"]


class Average(Config):
    """How fast the average forgets, by one of two measures, and what it is used for."""

    decay: float | None = Field(default=None, gt=0, lt=1)  # share of the average that outlasts an optimizer step
    half_life: Length | None = None  # tokens after which a step's share has halved
    used_for: tuple[Use, ...] = ("checkpoint", "watch")  # the finished checkpoint holds it; held-out text measures it

    @model_validator(mode="after")
    def _is_one_measure(self) -> Self:
        if (self.decay is None) == (self.half_life is None):
            raise ValueError("want exactly one of decay (per step, like 0.999) and half_life (like 2M tokens)")
        if self.half_life is not None and (self.half_life.unit != "tokens" or not self.half_life.amount):
            raise ValueError(f"half_life={self.half_life}: want tokens, like 2M tokens")
        return self

    def kept(self, tokens: int) -> float:
        """Share of the average that outlasts a step of so many tokens."""
        if self.half_life is None:
            assert self.decay is not None, "a validator asked for exactly one of decay and half_life"
            return self.decay
        return float(0.5 ** (tokens / self.half_life.amount))


class Averaged:
    """The average of one model's weights."""

    def __init__(self, average: Average, model: nn.Module) -> None:
        self._average = average
        self._parameters = dict(model.named_parameters())
        self._means = {name: parameter.detach().float().clone() for name, parameter in self._parameters.items()}
        self._mass = torch.zeros((), dtype=torch.float64)  # of the steps taken in; 1 after many

    @torch.no_grad()
    def take_in(self, tokens: int) -> None:
        """The weights have moved by a step of so many tokens."""
        kept = self._average.kept(tokens)
        self._mass.mul_(kept).add_(1 - kept)
        own = [parameter.detach().float() for parameter in self._parameters.values()]
        torch._foreach_lerp_(list(self._means.values()), own, (1 - kept) / float(self._mass))

    @contextmanager
    def in_place(self, use: Use) -> Iterator[None]:
        """Inside, the model has the averaged weights, if they are for that use. Exchanges memory and copies nothing."""
        if use not in self._average.used_for or not float(self._mass):
            yield
            return
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def state(self) -> dict[str, Tensor]:
        """Everything the next step depends on; not copies."""
        return {**self._means, "#mass": self._mass}

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what `state` gave."""
        for name, mine in self.state().items():
            mine.copy_(state[name])

    def _exchange(self) -> None:
        for name, parameter in self._parameters.items():
            parameter.data, self._means[name] = self._means[name], parameter.data
