"""train/guard: is this step sane: loss and gradient finite, and neither far above what they were of late?

Judged on the device from a window of the last steps, before the optimizer sees the gradient. Gradient norms are compared by
their logarithm, because they scatter by factors: of 2800 steps of five small runs that went well, plain norms would have left
out 20 and logarithms 4 (2026-11-21). A bad step enters the window as if it had just been good, so one spike does not hide the
next, and yet a run that has changed for good is not stopped for good. What follows from a verdict (a step left out, a return
to an earlier checkpoint) is train/follow's. Skipping by deviations: https://arxiv.org/abs/2501.00656, section 3; going back and
past the data: https://arxiv.org/abs/2204.02311, section 5.1.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from whorl.core.config import Config

__all__ = ["Guard", "Sentry", "Verdict", "told"]

_LEAST_SPREAD = 1e-3  # of the mean, or 1: a curve as flat as rounding has no deviations worth the name
_LEAST_NORM = 1e-12  # that has a logarithm


class Guard(Config):
    """When a step is left out, and when the run goes back. A bad step: not finite, or too far above its window."""

    window: int = Field(default=128, ge=4)  # steps that are looked back on; judged from half of them on
    sigmas: float = Field(default=6.0, gt=0)  # standard deviations above the mean of loss or logarithm of gradient norm
    skips: int = Field(default=4, ge=1)  # bad steps in a row that are left out before the run goes back
    keep_every: int = Field(default=200, ge=1)  # steps between the checkpoints it can go back to; step 0 is one
    rollbacks: int = Field(default=3, ge=0)  # to the same checkpoint, before the run gives up


class Verdict(NamedTuple):
    """What is thought of one step, on the device."""

    is_good: Bool[Tensor, ""]
    deviations: Float[Tensor, " 2"]  # of loss and gradient norm above their windows; 0 while there is nothing to compare


class _Usual(NamedTuple):
    """What loss and logarithm of the gradient norm are like of late."""

    is_known: Bool[Tensor, ""]
    mean: Float[Tensor, " 2"]
    spread: Float[Tensor, " 2"]


class Sentry:
    """Remembers what steps were like lately. Its state is part of a run's."""

    def __init__(self, guard: Guard, device: torch.device) -> None:
        self._sigmas = guard.sigmas
        self._is_read_at_once = device.type == "cpu"
        # A column for each step, newest last: loss, logarithm of the norm, targets, and 1 (0 where there was no step yet).
        # float32, because not every device has more.
        self._window = torch.zeros(4, guard.window, device=device)

    @torch.no_grad()
    def judge(self, nats: Float[Tensor, ""], norm: Float[Tensor, ""], *, num_targets: int) -> Verdict:
        """Of a step's summed loss and the norm of its mean gradient, which then join the window.

        A step with fewer targets than usual scatters more, by the root of their ratio: the end of an epoch is no spike.
        """
        plain = torch.stack([nats.float() / max(1, num_targets), norm.float()])
        is_finite = plain.isfinite().all()
        if not num_targets:
            return Verdict(is_finite, torch.zeros_like(plain))
        figures = torch.stack([plain[0], plain[1].clamp(min=_LEAST_NORM).log()])
        usual = self._usual(num_targets)
        deviations = torch.where(usual.is_known, (figures - usual.mean) / usual.spread, 0.0)
        highest = torch.where(usual.is_known, usual.mean + self._sigmas * usual.spread, figures)
        self._note(torch.minimum(figures, highest), num_targets, is_finite)
        return Verdict(is_finite & (deviations <= self._sigmas).all(), deviations)

    def stops(self, verdict: Verdict) -> bool:
        """Whether the optimizer must not see this step. Elsewhere than on a CPU nobody waits for that: see `mute`."""
        return self._is_read_at_once and not bool(verdict.is_good)

    def mute(self, gradients: Sequence[Tensor], verdict: Verdict) -> None:
        """Where `stops` does not wait, a bad step's gradient becomes zero: weights move by momentum alone, and stay finite."""
        if not self._is_read_at_once:
            for gradient in gradients:
                gradient.masked_fill_(~verdict.is_good, 0.0)

    def state(self) -> dict[str, Tensor]:
        """Everything the next verdict depends on; not copies."""
        return {"window": self._window}

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what `state` gave."""
        self._window.copy_(state["window"])

    def _usual(self, num_targets: int) -> _Usual:
        """For steps of so many targets."""
        sums = self._window.sum(dim=1)
        count = sums[3]
        means = sums[:3] / count.clamp(min=1)
        mean, targets = means[:2], means[2]
        apart = (self._window[:2] - mean.unsqueeze(1)) * self._window[3]
        variance = apart.square().sum(dim=1) / count.clamp(min=1)
        spread = torch.maximum(variance.sqrt(), _LEAST_SPREAD * mean.abs().clamp(min=1))
        return _Usual(count >= self._window.shape[1] // 2, mean, spread * (targets / num_targets).clamp(min=1).sqrt())

    def _note(self, figures: Float[Tensor, " 2"], num_targets: int, is_finite: Bool[Tensor, ""]) -> None:
        newest = torch.cat([figures, figures.new_tensor([num_targets, 1])]).unsqueeze(1)
        moved = torch.cat([self._window[:, 1:], newest], dim=1)
        self._window.copy_(torch.where(is_finite, moved, self._window))


def told(loss: float, norm: float, deviations: Sequence[float]) -> str:
    """A step's figures in words: `loss 9.41 (17.2 deviations above its window), gradient norm nan`."""
    names = ("loss", "gradient norm")
    parts = []
    for name, value, above in zip(names, (loss, norm), deviations, strict=True):
        is_compared = math.isfinite(value) and above
        parts.append(f"{name} {value:.4g}" + (f" ({above:.1f} deviations above its window)" if is_compared else ""))
    return ", ".join(parts)
