"""train/stages/fit: train a model, fresh or from a checkpoint, on tokens or dialogues.

Opens what the recipe names, refuses what cannot work before the first step, and hands over: the loop trains (train/loop),
train/follow looks, saves and stops, train/finish writes the checkpoint. That is a Hugging Face folder with `training.json`
beside; moments and the like go to the sibling `state`.
"""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator

from whorl.core.artifact import Artifact
from whorl.core.config import UNHASHED, Ref
from whorl.core.errors import ConfigError
from whorl.core.quantity import Length, Seconds
from whorl.core.seed import Seed
from whorl.core.stage import Job, Stage
from whorl.model.attend import BackendName
from whorl.model.families import Family
from whorl.model.parallel import DTypeName, pick_device, pick_dtype, torch_dtype
from whorl.model.recompute import Recompute
from whorl.tokens.renderer import Renderer
from whorl.tokens.shards import TokenShards
from whorl.tokens.tokenizer import Tokenizer
from whorl.train.average import Average, Averaged
from whorl.train.best import Best
from whorl.train.course import Course
from whorl.train.detour import places_at
from whorl.train.finish import finish
from whorl.train.follow import Orders, Run, follow
from whorl.train.gauges import Gauges
from whorl.train.guard import Guard, Sentry
from whorl.train.journal import Lines
from whorl.train.length import num_steps
from whorl.train.loop import Pieces
from whorl.train.machinery import Compile, Machinery
from whorl.train.mix import Batches, Data, Mix, batches, ingredients, total_steps
from whorl.train.objectives import Objective
from whorl.train.opening import announce
from whorl.train.optimizers import Optimizer
from whorl.train.probe import PROBE_STEPS, step_seconds
from whorl.train.quiet import forget_garbage, quiet
from whorl.train.ramp import Ramp
from whorl.train.refusals import check_learnable
from whorl.train.samples import Samples
from whorl.train.scaler import LossScale
from whorl.train.schedules import Schedule
from whorl.train.setup import Feed, Setup, Source, fresh_source, loaded_source, tokenizer_folder
from whorl.train.target_bytes import TargetBytes
from whorl.train.telemetry import Telemetry
from whorl.train.timetable import Timetable
from whorl.train.validate import HeldOut, Hiding, Watch, held_out
from whorl.train.weights import weights_of

__all__ = ["Fit"]


class Fit(Stage):
    """Train until the written length is reached; deterministic for one machine kind and thread count."""

    code_version: ClassVar[int] = 3  # 3: draws are seeded by place, and steps that are no good are left out
    makes: ClassVar[str] = "checkpoint"
    also_makes: ClassVar[tuple[str, ...]] = ("state",)
    is_seeded: ClassVar[bool] = True

    model: Family | None = None  # a fresh model; or:
    start: Ref[Literal["checkpoint"]] | None = None  # the weights and tokenizer to go on from
    data: Data  # what to train on; or several sources: {mix: [{from: ids, weight: 3}, {from: more, weight: 1}]}
    objective: Objective
    optimizer: Optimizer = Field(default_factory=lambda: Optimizer.model_validate({"use": "muon"}))
    schedule: Schedule = Field(default_factory=lambda: Schedule.model_validate({"use": "wsd"}))
    length: Length  # a step is `rows` rows, with a ramp too: then more and smaller ones take the same tokens
    rows: int = Field(default=16, ge=1)  # per step
    width: int = Field(default=128, ge=2)  # tokens of a row
    ramp: Ramp | None = None  # fewer rows at the start
    micro_rows: int | None = Field(default=None, ge=1)  # rows through the model at once, to save memory; default: all
    max_positions: int | None = None  # longest context the fresh model can ever have; default: width
    clip: float = Field(default=1.0, gt=0)  # largest norm of the gradient of the mean loss
    dropout: float = Field(default=0.0, ge=0, lt=1)  # share of the embeddings and of what each block adds that is dropped
    dtype: DTypeName = "auto"  # of the computation; weights and moments are float32
    fp8: bool = False  # matrix products of the blocks in eight bits; for GPUs with the units, and with compile
    guard: Guard | None = Guard()  # leaves bad steps out and goes back when they do not end
    patience: int | None = Field(default=None, ge=1)  # looks without a better one before the run ends, with the best weights
    average: Average | None = None  # of the weights, over the run
    watch: Watch | None = Watch()
    samples: Samples | None = Field(default=None, json_schema_extra=UNHASHED)  # what the model is asked at every look
    attention: BackendName = Field(default="auto", json_schema_extra=UNHASHED)
    recompute: Recompute = Field(default="none", json_schema_extra=UNHASHED)  # activations again, to save memory
    compile: Compile = Field(default="auto", json_schema_extra=UNHASHED)  # blocks, while training
    save_every: Seconds = Field(default=30.0, json_schema_extra=UNHASHED)  # of wall time, between resume points
    threads: int | None = Field(default=None, ge=1, json_schema_extra=UNHASHED)  # default: one per core
    watts: float | None = Field(default=None, gt=0, json_schema_extra=UNHASHED)  # to estimate energy where nothing counts it

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

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        if self.ramp is not None and self.ramp.start_rows >= self.rows:
            raise ValueError(f"ramp: start_rows={self.ramp.start_rows}, want fewer than rows={self.rows}")
        for name in ("patience", "samples"):
            if getattr(self, name) is not None and self.watch is None:
                raise ValueError(f"{name} counts looks at held-out text, but watch is null; set watch")
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

        Opening the data and writing the checkpoint are not counted. Steps are timed at their full size.
        """
        if self.length.unit != "seconds":
            return {}
        trial = self.model_copy(update={"length": Length(float(PROBE_STEPS), "steps"), "ramp": None}).settled({})
        with quiet(trial.threads):
            setup = trial.opened(job)
            step_s = step_seconds(trial._run(job, setup).pieces)
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
        with quiet(stage.threads):
            setup = stage.opened(job)
            if (total := total_steps(stage.length, stage.data, setup.loader)).is_cut:
                ending = f"ends after {total.steps} steps: a source has been read max_epochs times"
                job.events.warn(f"length '{stage.length}' {ending}")
            run = stage._run(job, setup)
            announce(job.events, setup, run, dtype=stage.dtype)
            forget_garbage()
            progress = follow(run, stage._orders(), job)
            said = {"objective": stage.objective.use, "dtype": stage.dtype}
            return finish(job, setup, run, progress=progress, said=said)

    def opened(self, job: Job) -> Setup:
        """Data and model, checked against each other. The stage must be settled."""
        feed = self.feed(job.inputs, job.seed)
        check_learnable(feed.materials, [str(one.from_) for one in ingredients(self.data)])
        target_bytes = TargetBytes.open(feed.tokenizer, feed.materials)
        return Setup(
            source=self._source(job, feed.tokenizer),
            tokenizer=feed.tokenizer,
            tokenizer_folder=feed.tokenizer_folder,
            renderer=Renderer(feed.tokenizer),
            loader=feed.loader,
            target_bytes=target_bytes,
            held_out=self._held_out(job, feed, target_bytes),
        )

    def feed(self, inputs: Mapping[str, Artifact], seed: Seed) -> Feed:
        """What is read at which step, from the finished inputs by reference target and the seed of the stage; nothing else."""
        sources = tuple(inputs[one.from_.target] for one in ingredients(self.data))
        for data in sources:
            if data.kind != self.objective.reads:
                raise ConfigError(f"objective '{self.objective.use}' reads {self.objective.reads}, but data is {data.kind}")
        folder = tokenizer_folder(sources, inputs[self.start.target] if self.start else None)
        tokenizer = Tokenizer.load(folder)
        materials = tuple(self.objective.material(data.path, "train", tokenizer) for data in sources)
        loader = batches(self.data, materials, rows=self.rows, width=self.width, seed=seed.child("data"))
        return Feed(sources, materials, tokenizer, folder, loader)

    def timetable(self, loader: Batches) -> Timetable:
        """Which places of the data each step takes. Raises ConfigError where the length is more than may be read."""
        total = total_steps(self.length, self.data, loader)
        return Timetable(total.steps, rows=self.rows, width=self.width, ramp=self.ramp)

    def _source(self, job: Job, tokenizer: Tokenizer) -> Source:
        device, start = pick_device().name, job.open(self.start) if self.start else None
        if start is not None:
            source = loaded_source(start.path, tokenizer=tokenizer, width=self.width, device=device)
        else:
            assert self.model is not None, "a validator asked for exactly one of model and start"
            positions = self.max_positions or self.width
            seed = job.seed.child("init")
            source = fresh_source(self.model, vocab_size=tokenizer.size, max_positions=positions, seed=seed, device=device)
        self.objective.check_model(source.model.config)
        machinery = Machinery(torch_dtype(self.dtype), self.fp8, self.attention, self.dropout, self.recompute, self.compile)
        compiling = machinery.set_up(source.model, self.width)
        job.events.emit("setting", name="compile", value=compiling.name, why=compiling.why)
        return source

    def _held_out(self, job: Job, feed: Feed, target_bytes: TargetBytes) -> HeldOut | None:
        if self.watch is None:
            return None
        materials = [self.objective.material(data.path, "held_out", feed.tokenizer) for data in feed.sources]
        rows = self.micro_rows or self.rows
        prepared = partial(self.objective.prepared, tokenizer=feed.tokenizer)
        hiding = Hiding(prepared, target_bytes.of) if self.objective.looks_ahead else None
        found = held_out(
            *materials, count=self.watch.documents, end=feed.tokenizer.end, rows=rows, width=self.width, hiding=hiding
        )
        if found is None:
            job.events.warn("nothing to watch: the data has no held-out text that fits a row; set watch: null to say so")
        return found

    def _run(self, job: Job, setup: Setup) -> Run:
        timetable, model, device = self.timetable(setup.loader), setup.model, setup.device
        course = Course(timetable, setup.loader, self.objective, setup.tokenizer, job.seed)
        pieces = Pieces(
            model=model,
            objective=self.objective,
            stepper=self.optimizer.build(weights_of(model), model.compute_dtype),
            factor=lambda step: self.schedule.factor(timetable.moment(step)) * timetable.factor(step),
            moment_of=timetable.moment,
            batch_of=course.batch,
            num_steps=timetable.num_steps,
            micro_rows=self.micro_rows or self.rows,
            clip=self.clip,
            seed_of=course.draws,
            sentry=Sentry(self.guard, device) if self.guard else None,
            scaler=LossScale(is_dynamic=model.compute_dtype is torch.float16),
        )
        telemetry = partial(Telemetry.open, model, self.width, recompute=self.recompute, watts=self.watts)
        lines = Lines(
            num_steps=timetable.num_steps,
            tokens=timetable.tokens,
            device=device,
            figures=Gauges(telemetry, job.events),
            bytes_of=setup.target_bytes.of,
            row_past=lambda steps, detours: places_at(steps - 1, timetable, detours).stop,
            measure=self.objective.measure,
        )
        return Run(
            pieces=pieces,
            course=course,
            lines=lines,
            held_out=setup.held_out,
            average=Averaged(self.average, model) if self.average else None,
            best=Best() if self.patience else None,
            sampler=self.samples.open(model.config, setup.renderer, reads=self.objective.reads) if self.samples else None,
        )

    def _orders(self) -> Orders:
        return Orders(self.watch.every if self.watch else None, self.guard, self.patience, self.save_every)
