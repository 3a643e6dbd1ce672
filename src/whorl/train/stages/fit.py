"""train/stages/fit: train a model, fresh or from a checkpoint, on tokens or dialogues.

Opens what the recipe names, refuses what cannot work before the first step, and follows the one loop: watch, save, stop. The
checkpoint is a Hugging Face folder with `training.json` beside; moments and generator go to the sibling `state`.
"""

import gc
import json
import os
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator

from whorl.core.artifact import Artifact
from whorl.core.config import UNHASHED, Config, Ref
from whorl.core.errors import ConfigError
from whorl.core.quantity import Length, Seconds
from whorl.core.seed import Seed
from whorl.core.stage import Job, Stage, Stopped
from whorl.model import checkpoint
from whorl.model.families import Family
from whorl.model.parallel import DTypeName, pick_device, pick_dtype, set_threads, torch_dtype
from whorl.tokens.renderer import Renderer
from whorl.tokens.shards import TokenShards
from whorl.tokens.tokenizer import Tokenizer
from whorl.train import state
from whorl.train.journal import Journal
from whorl.train.length import num_steps
from whorl.train.loop import Pieces, train
from whorl.train.mix import Data, Mix, batches, ingredients, total_steps
from whorl.train.objectives import Objective
from whorl.train.optimizers import Optimizer
from whorl.train.schedules import Schedule
from whorl.train.setup import Feed, Setup, Source, fresh_source, loaded_source, tokenizer_folder
from whorl.train.validate import HeldOut, held_out
from whorl.train.weights import weights_of

__all__ = ["Fit", "Watch"]

_PROBE_STEPS = 12  # to measure the speed of this machine
_PROBE_WARMUP = 4  # of them, not counted: allocators and caches fill


class Watch(Config):
    """How often bits per byte of held-out text are measured, and on how much of it."""

    every: int = Field(default=200, ge=1)  # steps; the first and the last step are always measured
    documents: int = Field(default=64, ge=1)  # the first of the part `held_out`


class Fit(Stage):
    """Train until the written length is reached; deterministic for one machine kind and thread count."""

    code_version: ClassVar[int] = 2  # 2: the order of rows is computed, not drawn in advance
    makes: ClassVar[str] = "checkpoint"
    also_makes: ClassVar[tuple[str, ...]] = ("state",)
    is_seeded: ClassVar[bool] = True

    model: Family | None = None  # a fresh model; or:
    start: Ref[Literal["checkpoint"]] | None = None  # the weights and tokenizer to go on from
    data: Data  # what to train on; or several sources: {mix: [{from: ids, weight: 3}, {from: more, weight: 1}]}
    objective: Objective
    optimizer: Optimizer = Field(default_factory=lambda: Optimizer.model_validate({"use": "muon"}))
    schedule: Schedule = Field(default_factory=lambda: Schedule.model_validate({"use": "wsd"}))
    length: Length
    rows: int = Field(default=16, ge=1)  # per step
    width: int = Field(default=128, ge=2)  # tokens of a row
    micro_rows: int | None = Field(default=None, ge=1)  # rows through the model at once, to save memory; default: all
    max_positions: int | None = None  # longest context the fresh model can ever have; default: width
    clip: float = Field(default=1.0, gt=0)  # largest norm of the gradient of the mean loss
    dtype: DTypeName = "auto"  # of the computation; weights and moments are float32
    watch: Watch | None = Watch()
    save_every: Seconds = Field(default=30.0, json_schema_extra=UNHASHED)  # of wall time, between resume points
    threads: int | None = Field(default=None, ge=1, json_schema_extra=UNHASHED)  # default: one per core

    @model_validator(mode="after")
    def _pieces_fit(self) -> Self:
        if (self.model is None) == (self.start is None):
            raise ValueError("want exactly one of model (a fresh one) and start (a checkpoint to go on from)")
        for ref in (one.from_ for one in ingredients(self.data)):
            if ref.part not in (None, "train"):
                raise ValueError(f"data: {ref}: only the part 'train' is trained on; write data: {ref.target}")
        if isinstance(self.data, Mix) and self.length.unit == "epochs":
            raise ValueError("length in epochs: every source of a mixture has epochs of its own; write tokens, steps or a time")
        if self.max_positions is not None and self.model is None:
            raise ValueError("max_positions is a property of a fresh model; with start, the checkpoint's holds")
        if self.max_positions is not None and self.max_positions < self.width:
            raise ValueError(f"max_positions={self.max_positions} is less than width={self.width}")
        return self

    def settled(self, pins: Mapping[str, str]) -> Self:
        """With the compute dtype of this machine, and a length in time as the tokens this workspace pinned.

        Raises ConfigError for a time without a pin.
        """
        length = Length.parse(pins["length"]) if self.length.unit == "seconds" and "length" in pins else self.length
        if length.unit == "seconds":
            raise ConfigError(f"length '{length}' is a time; it is measured and pinned at the first run, or write tokens")
        return self.model_copy(update={"length": length, "dtype": pick_dtype(self.dtype, pick_device().name).name})

    def to_pin(self) -> Mapping[str, str]:
        """A length in time becomes tokens once."""
        return {"length": str(self.length)} if self.length.unit == "seconds" else {}

    def pin(self, job: Job) -> Mapping[str, str]:
        """Time a few steps and one look at the held-out text; the tokens that fit into the written time, at least a step.

        Opening the data and writing the checkpoint are not counted.
        """
        if self.length.unit != "seconds":
            return {}
        trial = self.model_copy(update={"length": Length(_PROBE_STEPS, "steps")}).settled({})
        with _quiet(trial.threads, job.seed):
            setup = trial.opened(job)
            step_s = _step_seconds(trial._pieces(setup, _PROBE_STEPS))
            looked_at = time.monotonic()
            if setup.held_out is not None:
                setup.held_out.bits_per_byte(setup.model)
            look_s = time.monotonic() - looked_at
        every = self.watch.every if self.watch else 1
        steps = max(1, int((self.length.amount - look_s) / (step_s + look_s / every)))
        job.events.emit("metric", probe_step_s=step_s, probe_watch_s=look_s, pinned_steps=steps)
        return {"length": f"{steps * setup.loader.tokens_per_step} tokens"}

    def work(self, inputs: Mapping[str, Artifact]) -> float | None:
        """Tokens to train (places in rows); None when only the first run can tell."""
        per_step = self.rows * self.width
        if self.length.unit == "seconds":
            return None
        if self.length.unit != "epochs":
            return float(num_steps(self.length, tokens_per_step=per_step, steps_per_epoch=0) * per_step)
        data = inputs.get(ingredients(self.data)[0].from_.target)
        if data is None or data.kind != "tokens":
            return None
        return self.length.amount * TokenShards.open(data.path, "train").num_tokens

    def run(self, job: Job) -> Mapping[str, Any]:
        """Train, watch, save, and write the checkpoint.

        Raises Stopped after saving when asked to, ConfigError or DataError for what cannot be trained.
        """
        stage = self.settled({})
        with _quiet(stage.threads, job.seed):
            setup = stage.opened(job)
            total, is_cut = total_steps(stage.length, stage.data, setup.loader)
            if is_cut:
                job.events.warn(f"length '{stage.length}' ends after {total} steps: a source has been read max_epochs times")
            stage._announce(job, setup, total)
            pieces = stage._pieces(setup, total)
            gc.collect()
            gc.freeze()  # what lives for the whole run is not searched for garbage at every step
            progress = stage._follow(job, setup, pieces)
            return stage._finish(job, setup, pieces, progress)

    def opened(self, job: Job) -> Setup:
        """Data and model, checked against each other. The stage must be settled."""
        start = job.open(self.start) if self.start else None
        feed = self.feed(job.inputs, job.seed)
        return Setup(
            source=self._source(start, feed.tokenizer, job.seed.child("init")),
            tokenizer=feed.tokenizer,
            tokenizer_folder=feed.tokenizer_folder,
            renderer=Renderer(feed.tokenizer),
            loader=feed.loader,
            held_out=self._held_out(job, feed),
        )

    def feed(self, inputs: Mapping[str, Artifact], seed: Seed) -> Feed:
        """What is read at which step, from the finished inputs by reference target and the seed of the stage; nothing else."""
        sources = tuple(inputs[one.from_.target] for one in ingredients(self.data))
        for data in sources:
            if data.kind != self.objective.reads:
                raise ConfigError(f"objective '{self.objective.use}' reads {self.objective.reads}, but data is {data.kind}")
        folder = tokenizer_folder(sources, inputs[self.start.target] if self.start else None)
        tokenizer = Tokenizer.load(folder)
        materials = [self.objective.material(data.path, "train", tokenizer) for data in sources]
        loader = batches(self.data, materials, rows=self.rows, width=self.width, seed=seed.child("data"))
        return Feed(sources, tokenizer, folder, loader)

    def _source(self, start: Artifact | None, tokenizer: Tokenizer, seed: Seed) -> Source:
        device = pick_device().name
        if start is not None:
            source = loaded_source(start.path, tokenizer=tokenizer, width=self.width, device=device)
        else:
            assert self.model is not None, "a validator asked for exactly one of model and start"
            positions = self.max_positions or self.width
            source = fresh_source(self.model, vocab_size=tokenizer.size, max_positions=positions, seed=seed, device=device)
        source.model.compute_dtype = torch_dtype(self.dtype)
        return source

    def _held_out(self, job: Job, feed: Feed) -> HeldOut | None:
        if self.watch is None:
            return None
        materials = [self.objective.material(data.path, "held_out", feed.tokenizer) for data in feed.sources]
        rows = self.micro_rows or self.rows
        found = held_out(*materials, count=self.watch.documents, end=feed.tokenizer.end, rows=rows, width=self.width)
        if found is None:
            job.events.warn("nothing to watch: the data has no held-out text that fits a row; set watch: null to say so")
        return found

    def _pieces(self, setup: Setup, total: int) -> Pieces:
        return Pieces(
            model=setup.model,
            objective=self.objective,
            stepper=self.optimizer.build(weights_of(setup.model), setup.model.compute_dtype),
            factor=lambda step: self.schedule.factor(step, total),
            batch_of=setup.loader.batch,
            num_steps=total,
            micro_rows=self.micro_rows or self.rows,
            clip=self.clip,
        )

    def _announce(self, job: Job, setup: Setup, total: int) -> None:
        fastest = pick_dtype("auto", setup.device.type)
        job.events.emit("setting", name="dtype", value=self.dtype, fastest_here=fastest.name, why=fastest.why)
        job.events.emit(
            "setting",
            name="length",
            value=f"{total} steps",
            tokens=total * setup.loader.tokens_per_step,
            epochs=setup.loader.epochs(total),
            fill=setup.loader.fill,
            too_long=setup.loader.too_long,
            parameters=setup.num_parameters,
        )

    def _follow(self, job: Job, setup: Setup, pieces: Pieces) -> state.Progress:
        """Carry out the steps that are left; the finished progress."""
        found = state.latest(job.scratch)
        progress = state.restore(found, pieces.model, pieces.stepper) if found else state.Progress()
        journal = Journal(
            progress,
            job.events,
            num_steps=pieces.num_steps,
            tokens_per_step=setup.loader.tokens_per_step,
            device=setup.device,
        )
        if not progress.held_out:
            _look(setup, journal, 0)
        saved_at = time.monotonic()
        for step in train(pieces, progress.step):
            journal.note(step, pieces.stepper.rates)
            is_last = step.number == pieces.num_steps
            if self.watch and (is_last or step.number % self.watch.every == 0):
                _look(setup, journal, step.number)
            must_stop = job.stop.is_set() and not is_last
            if must_stop or time.monotonic() - saved_at >= self.save_every:
                journal.read()
                state.save(job.scratch, pieces.model, pieces.stepper, progress)
                saved_at = time.monotonic()
            if must_stop:
                raise Stopped(f"stopped at step {step.number} of {pieces.num_steps}, saved; run the recipe again to go on")
        journal.read()
        return progress

    def _finish(self, job: Job, setup: Setup, pieces: Pieces, progress: state.Progress) -> Mapping[str, Any]:
        state.check_weights(pieces.model, f"step {progress.step}")
        said = {
            "objective": self.objective.use,
            "dtype": self.dtype,
            "steps": progress.step,
            "tokens": progress.step * setup.loader.tokens_per_step,
            "targets": progress.num_targets,
        }
        extra = {"tokenizer": setup.tokenizer.fingerprint, "renderer": setup.renderer.fingerprint, "trained": said}
        checkpoint.save(
            job.folder, pieces.model, family=setup.source.family, tokenizer_folder=setup.tokenizer_folder, extra=extra
        )
        curve = {**said, "loss": progress.losses, "held_out_bits_per_byte": progress.held_out}
        (job.folder / "training.json").write_text(json.dumps(curve, sort_keys=True) + "\n")
        if "state" in job.siblings:
            state.write_moments(job.siblings["state"], pieces.stepper)
            (job.siblings["state"] / "progress.json").write_text(progress.to_json())
        counts = {**said, "parameters": setup.num_parameters, "loss": progress.losses[-1].loss}
        if progress.held_out:
            counts["held_out_bits_per_byte"] = progress.held_out[-1].bits_per_byte
        return counts


def _look(setup: Setup, journal: Journal, step: int) -> None:
    if setup.held_out is None:
        return
    began = time.monotonic()
    journal.watched(step, setup.held_out.bits_per_byte(setup.model), time.monotonic() - began)


def _step_seconds(pieces: Pieces) -> float:
    ends = []
    for step in train(pieces, 0):
        float(step.nats)  # wait for the device: this is a clock
        ends.append(time.monotonic())
    return statistics.median(later - earlier for earlier, later in pairwise(ends[_PROBE_WARMUP:]))


@contextmanager
def _quiet(threads: int | None, seed: Seed) -> Iterator[None]:
    """Torch's threads and generator as this stage wants them; afterwards they, and what was frozen, are as before."""
    before = torch.get_num_threads()
    set_threads(threads or os.cpu_count() or 1)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed.child("torch").number)
            yield
    finally:
        gc.unfreeze()
        set_threads(before)
