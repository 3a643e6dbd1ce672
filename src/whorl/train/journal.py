"""train/journal: what a run says while it trains: progress and metric events, the loss curve, and which steps were left out.

Waits for the device only every few steps. Does not write files and decides nothing: the curve lives in Progress, which state
saves, and train/follow reads how many bad steps there were.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from whorl.core.events import Events
from whorl.measure.bits import bits_per_byte
from whorl.model.router import crowding
from whorl.tokens.batch import Batch
from whorl.train.detour import Detour
from whorl.train.guard import told
from whorl.train.loop import Step, check_finite
from whorl.train.state import LossPoint, Progress, Skip, WatchPoint

__all__ = ["Figures", "Journal", "Lines"]

_POINTS = 200  # of the loss curve, whatever the length of the run
_STEPS_BETWEEN_READS = {"cpu": 1}  # reading is free there
_STEPS_BETWEEN_READS_ELSEWHERE = 10

Figures = Callable[[float, float], Mapping[str, float]]  # tokens, seconds of training -> figures of the machine


@dataclass(frozen=True)
class Lines:
    """What a journal needs to know of the run it follows."""

    num_steps: int
    tokens: Callable[[int], int]  # steps -> tokens they take
    device: torch.device
    figures: Figures  # of the machine
    bytes_of: Callable[[Batch], float]  # of text that the targets spell
    row_past: Callable[[int, Sequence[Detour]], int]  # steps, detours -> the first row of the data that is not read yet
    measure: str = "bits_per_byte"  # of held-out text


class Journal:
    """Follows one run; `progress` is the caller's and is kept up to date."""

    def __init__(self, progress: Progress, events: Events, lines: Lines) -> None:
        self.progress = progress
        self._events = events
        self._lines = lines
        self._steps_between_points = max(1, lines.num_steps // _POINTS)
        self._steps_between_reads = _STEPS_BETWEEN_READS.get(lines.device.type, _STEPS_BETWEEN_READS_ELSEWHERE)
        self._unread: list[Step] = []
        self._first = progress.step
        self._began = time.monotonic()
        self._apart_s = 0.0  # spent on something other than training

    def note(self, step: Step, rates: Mapping[str, float]) -> None:
        """A step is done. Raises DataError when a recent one that nobody guards was not finite."""
        self._unread.append(step)
        is_point = step.number % self._steps_between_points == 0 or step.number == self._lines.num_steps
        if is_point or step.number % self._steps_between_reads == 0:
            self.read()
        if self._unread:
            return
        machine = self._machine(step)
        if is_point:
            self._mark(step, rates, machine)
        self._tell(step, rates, machine)

    def read(self) -> None:
        """Take in every step noted so far. Raises DataError when one of them was not finite and nobody guards the run."""
        check_finite([step for step in self._unread if step.finding.verdict is None and not step.finding.is_overflow])
        for step in self._unread:
            self.progress.step = step.number
            why = _fault(step)
            self.progress.bad_in_row = 0 if why is None else self.progress.bad_in_row + (not step.finding.is_overflow)
            if why is None:
                self.progress.num_targets += step.num_targets
                self.progress.nats += float(step.nats)
                self.progress.nats_targets += step.num_targets
                self.progress.nats_bytes += self._lines.bytes_of(step.batch)
            else:
                self.progress.skips.append(Skip(step.number, why))
                self._events.warn(f"{step.position}: left out, {why}", step=step.number)
        self._unread.clear()

    def watched(self, step: int, bits_per_byte: float) -> None:
        """The held-out text was measured."""
        self.progress.held_out.append(WatchPoint(step, bits_per_byte))
        self._events.emit("metric", step=step, **{f"held_out_{self._lines.measure}": bits_per_byte})

    def spent_apart(self, seconds: float) -> None:
        """So long, something other than training was done."""
        self._apart_s += seconds

    def turned_back(self, progress: Progress) -> None:
        """The run goes on from an earlier step; its speed is counted from there."""
        self.progress = progress
        self._first, self._began, self._apart_s = progress.step, time.monotonic(), 0.0
        self._unread.clear()

    def _machine(self, step: Step) -> Mapping[str, float]:
        """Its figures so far; asking for them is not training."""
        now = time.monotonic()
        tokens = self._lines.tokens(step.number) - self._lines.tokens(self._first)
        figures = self._lines.figures(tokens, max(now - self._began - self._apart_s, 1e-9))
        self.spent_apart(time.monotonic() - now)
        return figures

    def _mark(self, step: Step, rates: Mapping[str, float], machine: Mapping[str, float]) -> None:
        progress = self.progress
        if not progress.nats_targets:
            return  # every step since the last point was left out, or had nothing to predict
        point = LossPoint(step.number, progress.nats / max(1, progress.nats_targets))
        progress.losses.append(point)
        figures = {f"rate_{label}": rate * step.factor for label, rate in rates.items()}
        figures["data_row"] = self._lines.row_past(step.number, progress.detours)
        if progress.nats_bytes:
            figures["bits_per_byte"] = bits_per_byte(progress.nats, progress.nats_bytes)
        if step.loads is not None:
            figures["expert_crowding"] = float(crowding(step.loads))
        progress.nats, progress.nats_targets, progress.nats_bytes = 0.0, 0, 0.0
        figures |= {"grad_norm": float(step.grad_norm), "tokens": float(self._lines.tokens(step.number))}
        self._events.emit("metric", step=step.number, loss=point.loss, position=step.position, **figures, **machine)

    def _tell(self, step: Step, rates: Mapping[str, float], machine: Mapping[str, float]) -> None:
        figures = {
            "loss": float(step.nats) / max(1, step.num_targets),
            "lr": max(rates.values()) * step.factor,
            **machine,
        }
        if self.progress.held_out:
            figures[f"held_out_{self._lines.measure}"] = self.progress.held_out[-1].bits_per_byte
        self._events.progress(step.number, self._lines.num_steps, "step", **figures)


def _fault(step: Step) -> str | None:
    """Why a step was left out; None when it was not."""
    if step.finding.is_overflow:
        return "its gradient left the range of float16; the loss scale is halved"
    verdict = step.finding.verdict
    if verdict is None or bool(verdict.is_good):
        return None
    return told(float(step.nats) / max(1, step.num_targets), float(step.grad_norm), verdict.deviations.tolist())
