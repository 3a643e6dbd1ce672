"""train/follow: follows the one loop: looks at held-out text, saves, leaves bad data behind, stops.

Everything that changes the result happens at steps that the recipe fixes; the clock only decides when a resume point is
written. A run that has turned bad goes back to the last good checkpoint and on with data it has not read, as in
https://arxiv.org/abs/2204.02311, section 5.1. Does not train and does not write the finished checkpoint.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from whorl.core.errors import DataError
from whorl.core.stage import Job, Stopped
from whorl.train import state
from whorl.train.average import Averaged, Use
from whorl.train.best import Best, best_of, is_spent
from whorl.train.course import Course
from whorl.train.detour import places_at, with_detour
from whorl.train.guard import Guard
from whorl.train.journal import Journal, Lines
from whorl.train.loop import Pieces, train
from whorl.train.samples import Sampler
from whorl.train.state import Keeper, Progress, Return
from whorl.train.validate import HeldOut

__all__ = ["Orders", "Run", "follow"]


@dataclass(frozen=True)
class Orders:
    """When to look, save, go back and stop."""

    watch_every: int | None  # steps
    guard: Guard | None
    patience: int | None  # looks without a better one, before the run ends
    save_every: float  # seconds


@dataclass(frozen=True)
class Run:
    """One run: its pieces, what they read, and who remembers or looks."""

    pieces: Pieces
    course: Course
    lines: Lines
    held_out: HeldOut | None
    average: Averaged | None
    best: Best | None
    sampler: Sampler | None

    @property
    def keepers(self) -> Mapping[str, Keeper]:
        """Whoever remembers from step to step, by the name of the file it is kept in."""
        found = {
            "moments": self.pieces.stepper,
            "guard": self.pieces.sentry,
            "scale": self.pieces.scaler if self.pieces.scaler.is_dynamic else None,
            "average": self.average,
            "best": self.best,
        }
        return {name: keeper for name, keeper in found.items() if keeper is not None}

    @contextmanager
    def weights_for(self, use: Use) -> Iterator[None]:
        """Inside, the model has the weights that are used so: its own, or their average."""
        with nullcontext() if self.average is None else self.average.in_place(use):
            yield


def follow(run: Run, orders: Orders, job: Job) -> Progress:
    """Carry out the steps that are left; the finished progress.

    Raises Stopped, after saving, when asked to stop; DataError when going back has not helped.
    """
    follower = _Follower(run, orders, job)
    while not follower.is_over:
        follower.go_on()
    return follower.progress


class _Due(NamedTuple):
    """What is to be done after a step; all of it needs the weights to be sound."""

    look: bool  # at held-out text, or for the last time at the weights
    keep: bool  # as a checkpoint to go back to
    save: bool
    stop: bool


class _Follower:
    def __init__(self, run: Run, orders: Orders, job: Job) -> None:
        self._run, self._orders, self._job = run, orders, job
        self._model = run.pieces.model
        found = state.latest(job.scratch)
        progress = state.restore(found, self._model, run.keepers) if found else Progress()
        self._journal = Journal(progress, job.events, run.lines)
        self._saved_at = time.monotonic()
        self._look_where_due()  # a run may have been killed between saving a step and looking at it
        self._keep_where_due()

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        return self._journal.progress

    @property
    def is_over(self) -> bool:
        """Whether every step was taken, or looking further is pointless."""
        return self.progress.step >= self._run.pieces.num_steps or self._is_spent()

    def go_on(self) -> None:
        """Take steps until the run is over or has to go back."""
        for step in train(self._on_course(), self.progress.step):
            self._journal.note(step, self._run.pieces.stepper.rates)
            due = self._due(step.number)
            if any(due):
                self._journal.read()
            if self._is_bad(must_be_sound=any(due)):
                self._turn_back(step.position)
                return
            if step.finding.is_taken and self._run.average is not None:
                self._run.average.take_in(step.batch.ids.size)
            if any(due):
                self._settle(due)
            if self.is_over:
                return

    def _on_course(self) -> Pieces:
        course, detours = self._run.course, tuple(self.progress.detours)
        return replace(
            self._run.pieces,
            batch_of=partial(course.batch, detours=detours),
            seed_of=partial(course.draws, detours=detours),
        )

    def _due(self, number: int) -> _Due:
        is_late = time.monotonic() - self._saved_at >= self._orders.save_every
        is_last = number == self._run.pieces.num_steps
        return _Due(is_last or self._is_look(number), self._is_kept(number), is_late, self._job.stop.is_set() and not is_last)

    def _settle(self, due: _Due) -> None:
        """Look, save and stop, as far as they are due."""
        self._look_where_due()
        self._keep_where_due()
        must_stop = due.stop and not self.is_over
        if must_stop or due.save:
            self._save("step")
        if must_stop:
            number, total = self.progress.step, self._run.pieces.num_steps
            raise Stopped(f"stopped at step {number} of {total}, saved; run the recipe again to go on")

    def _is_look(self, number: int) -> bool:
        every = self._orders.watch_every
        return every is not None and (number == self._run.pieces.num_steps or number % every == 0)

    def _is_kept(self, number: int) -> bool:
        return self._orders.guard is not None and number % self._orders.guard.keep_every == 0

    def _is_spent(self) -> bool:
        return self._orders.patience is not None and is_spent(self.progress.held_out, self._orders.patience)

    def _save(self, kind: state.Kind) -> None:
        state.save(self._job.scratch, self._model, self._run.keepers, self.progress, kind=kind)
        self._saved_at = time.monotonic()

    def _keep_where_due(self) -> None:
        """Save what the run may go back to, if it is time and the last step was a good one."""
        if self._is_kept(self.progress.step) and not self.progress.bad_in_row:
            self._save("good")

    def _look_where_due(self) -> None:
        """Measure the held-out text if it is time and was not done; what was reached is saved first."""
        number, looks = self.progress.step, self.progress.held_out
        if not self._is_look(number) or self._run.held_out is None or (looks and looks[-1].step == number):
            return
        if number:
            self._save("step")
        began = time.monotonic()
        with self._run.weights_for("watch"):
            self._journal.watched(number, self._run.held_out.bits_per_byte(self._model))
            self._say_samples(number)
        best = best_of(looks)
        if self._run.best is not None and best == looks[-1]:
            with self._run.weights_for("checkpoint"):
                self._run.best.take(self._model)
        if best is not None and self._is_spent():
            self._job.events.emit("early_stop", step=number, best_step=best.step)
        self._journal.spent_apart(time.monotonic() - began)

    def _say_samples(self, number: int) -> None:
        for sample in self._run.sampler.draw(self._model) if self._run.sampler else ():
            self._job.events.emit("sample", step=number, prompt=sample.prompt, text=sample.text)

    def _is_bad(self, *, must_be_sound: bool) -> bool:
        guard = self._orders.guard
        if guard is None:
            return False
        return self.progress.bad_in_row >= guard.skips or (must_be_sound and not state.is_sound(self._model))

    def _turn_back(self, position: str) -> None:
        """Go back to the last good checkpoint, and on with what nobody has read."""
        guard, failed, found = self._orders.guard, self.progress, state.good(self._job.scratch)
        assert guard is not None, "a run without a guard never turns back"
        assert found is not None, "a guarded run has kept a good checkpoint since step 0"
        timetable = self._run.course.timetable
        past = places_at(failed.step - 1, timetable, failed.detours).stop
        progress = state.restore(found, self._model, self._run.keepers)
        first = places_at(progress.step, timetable, failed.detours).start
        if sum(one.to_step == progress.step for one in failed.returns) >= guard.rollbacks:
            raise DataError(_gave_up(position, failed, progress, guard))
        progress.skips = failed.skips
        progress.returns = [*failed.returns, Return(failed.step, progress.step, first, past)]
        progress.detours = with_detour(progress.step, past=past, timetable=timetable, detours=failed.detours)
        self._journal.turned_back(progress)
        state.abandon(self._job.scratch)
        self._save("step")
        self._job.events.warn(
            f"{position}: went back to step {progress.step} and past rows {first} to {past - 1} of the data",
            step=progress.step,
            rows=past - first,
        )


def _gave_up(position: str, failed: Progress, good: Progress, guard: Guard) -> str:
    last = failed.skips[-1].why if failed.skips else "a weight is not finite"
    return (
        f"{position}: {last}; went back to step {good.step} {guard.rollbacks} times and it turned bad again after other data; "
        "the finite weights of that step are kept, so run again with a lower optimizer rate, a longer schedule warmup, "
        "a smaller clip, or a guard with more sigmas; `guard: null` trains without one"
    )
