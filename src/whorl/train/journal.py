"""train/journal: what a run says while it trains: progress and metric events, the loss curve, and the finite check.

Waits for the device only every few steps. Does not write files: the curve lives in Progress, which state saves.
"""

import time
from collections.abc import Mapping

import torch

from whorl.core.events import Events
from whorl.train.loop import Step, check_finite
from whorl.train.state import LossPoint, Progress, WatchPoint

__all__ = ["Journal"]

_POINTS = 200  # of the loss curve, whatever the length of the run
_STEPS_BETWEEN_READS = {"cpu": 1}  # reading is free there
_STEPS_BETWEEN_READS_ELSEWHERE = 10


class Journal:
    """Follows one run; `progress` is the caller's and is kept up to date."""

    def __init__(
        self, progress: Progress, events: Events, *, num_steps: int, tokens_per_step: int, device: torch.device
    ) -> None:
        self._progress = progress
        self._events = events
        self._num_steps = num_steps
        self._tokens_per_step = tokens_per_step
        self._steps_between_points = max(1, num_steps // _POINTS)
        self._steps_between_reads = _STEPS_BETWEEN_READS.get(device.type, _STEPS_BETWEEN_READS_ELSEWHERE)
        self._unread: list[Step] = []
        self._first = progress.step
        self._began = time.monotonic()
        self._apart_s = 0.0  # spent on something other than training

    def note(self, step: Step, rates: Mapping[str, float]) -> None:
        """A step is done. Raises DataError when a recent one was not finite."""
        self._unread.append(step)
        is_point = step.number % self._steps_between_points == 0 or step.number == self._num_steps
        if is_point or len(self._unread) >= self._steps_between_reads:
            self.read()
        if is_point:
            self._mark(step, rates)
        self._tell(step, rates)

    def read(self) -> None:
        """Take in every step noted so far. Raises DataError when one of them was not finite."""
        check_finite(self._unread)
        for step in self._unread:
            self._progress.step = step.number
            self._progress.num_targets += step.num_targets
            self._progress.nats += float(step.nats)
            self._progress.nats_targets += step.num_targets
        self._unread.clear()

    def watched(self, step: int, bits_per_byte: float, seconds: float) -> None:
        """The held-out text was measured, in so many seconds."""
        self._apart_s += seconds
        self._progress.held_out.append(WatchPoint(step, bits_per_byte))
        self._events.emit("metric", step=step, held_out_bits_per_byte=bits_per_byte)

    def _mark(self, step: Step, rates: Mapping[str, float]) -> None:
        progress = self._progress
        point = LossPoint(step.number, progress.nats / max(1, progress.nats_targets))
        progress.losses.append(point)
        progress.nats, progress.nats_targets = 0.0, 0
        drawn = {f"rate_{label}": rate * step.factor for label, rate in rates.items()}
        self._events.emit("metric", step=step.number, loss=point.loss, grad_norm=float(step.grad_norm), **drawn)

    def _tell(self, step: Step, rates: Mapping[str, float]) -> None:
        if self._unread:
            return
        elapsed_s = max(time.monotonic() - self._began - self._apart_s, 1e-9)
        figures = {
            "loss": float(step.nats) / max(1, step.num_targets),
            "tokens_per_s": (step.number - self._first) * self._tokens_per_step / elapsed_s,
            "lr": max(rates.values()) * step.factor,
        }
        if self._progress.held_out:
            figures["held_out_bits_per_byte"] = self._progress.held_out[-1].bits_per_byte
        self._events.progress(step.number, self._num_steps, "step", **figures)
