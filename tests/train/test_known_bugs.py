"""Bugs that trainers of this field have had, each planted here to see that what we rely on would catch it.

Resuming that starts the data over or loses epochs (litgpt 1712, torchtitan 291, TinyLlama 36); a loss that jumps after
resuming, and memory that doubles (transformers 33336, torchtitan 1213); accumulation that is not the big batch
(transformers 37766, torchtitan 292 and 1759); equal configurations with unequal losses (torchtitan 1720, Megatron-Bridge
5257). Spikes and steps that are not finite: test_guard and test_follow.
"""

import ctypes
import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_loop import Recorder, ragged
from test_resume import interrupt_at
from toy_training import MODEL, content, fit

from whorl.core.seed import Seed
from whorl.model.families import Family
from whorl.model.transformer import Transformer
from whorl.train import loop, state
from whorl.train.course import Course
from whorl.train.loop import Pieces, train
from whorl.train.objectives import Objective
from whorl.train.optimizers import Optimizer
from whorl.train.schedules import Moment
from whorl.train.state import Progress
from whorl.train.weights import weights_of

planted = pytest.mark.parametrize("is_planted", [False, True], ids=["ours", "planted"])


# Resuming starts the data over, or loses epochs


@planted
def test_a_resumed_run_trains_every_target_of_every_epoch_once(is_planted, ground, tmp_path, monkeypatch):
    stage = fit(length="2 epochs", rows=8, save_every=0, watch=None)
    job = ground.job(tmp_path)
    loader = stage.opened(job).loader
    steps = stage.timetable(loader).num_steps
    clean, read, began = Course.batch, {}, 0

    def noted(course, step, detours=()):
        read[step] = clean(course, step - began if is_planted else step, detours)
        return read[step]

    monkeypatch.setattr(Course, "batch", noted)
    for step in (steps // 3, 2 * steps // 3):
        interrupt_at(ground, tmp_path, step, stage)
        began = int(state.latest(job.scratch).name.removeprefix("step-"))
        assert 0 < began < steps
    stage.run(job)
    trained, wanted = Counter(), Counter()
    for step in range(steps):
        trained += targets(read[step])
        wanted += targets(loader.batch(step))
    assert (trained == wanted) is not is_planted


def targets(batch):
    """Every target of some rows, by the documents beside it and its place."""
    return Counter(
        (names, place, int(batch.targets[row, place]))
        for row, names in enumerate(batch.doc_ids)
        for place in np.flatnonzero(batch.weights[row]).tolist()
    )


# The loss jumps after resuming


@planted
def test_the_loss_after_resuming_is_the_one_that_would_have_come(is_planted, ground, tmp_path, monkeypatch):
    stage = fit(save_every=0, optimizer={"use": "adamw"})
    stage.run(ground.job(tmp_path / "whole"))
    interrupt_at(ground, tmp_path / "torn", 6, stage)
    if is_planted:  # moments start from nothing again
        restore = state.restore
        monkeypatch.setattr(state, "restore", lambda folder, model, keepers: restore(folder, model, {}))
    told = []
    stage.run(ground.job(tmp_path / "torn", sinks=[lambda event: told.append(event) if "grad_norm" in event else None]))
    after = {event["step"]: event["loss"] for event in told}
    assert min(after) <= 7
    whole = dict(map(tuple, curve(tmp_path / "whole")))
    assert all(after[step] == whole[step] for step in after) is not is_planted


def curve(draft):
    return json.loads((draft / "checkpoint/training.json").read_text())["loss"]


# Memory doubles while resuming


@pytest.mark.parametrize("name", Optimizer.names())
def test_resuming_holds_the_training_state_once(name, tmp_path):
    assert most_held_while_resuming(name, tmp_path) < 1.3


def test_reading_the_whole_state_before_putting_it_back_would_be_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "TensorFile", lambda path: {name: one.clone() for name, one in load_file(path).items()})
    assert most_held_while_resuming("adamw", tmp_path) > 1.5


def most_held_while_resuming(name, folder):
    """Resident pages that come while a state is put back, as Linux counts them, in sizes of its weights and moments."""
    model, stepper = large(name)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    stepper.step(1.0, Moment(0, 1, 2))
    kept = sum(tensor.nbytes for tensor in (*stepper.state().values(), *model.parameters()))
    state.save(folder, model, {"moments": stepper}, Progress(1))
    del model, stepper
    model, stepper = large(name)
    ctypes.CDLL(None).malloc_trim(0)  # what earlier tests let go of would be taken again without being counted
    before = resident_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest figure so far
    state.restore(state.latest(folder), model, {"moments": stepper})
    return (resident_bytes("VmHWM") - before) / kept


def large(optimizer):
    shape = {**MODEL, "depth": 6, "width": 320, "heads": 4, "mlp_width": 1280}  # 10 million weights
    model = Transformer.fresh(Family.model_validate(shape).configure(300, 32), Seed(0))
    return model, Optimizer.model_validate({"use": optimizer}).build(weights_of(model), torch.float32)


def resident_bytes(figure):
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(figure)]
    return int(line.split()[1]) * 1024


# Accumulation is not the big batch


class MeanOfMeans(Objective):
    """The bug: every micro-batch is averaged by itself, as if all had equally many targets."""

    reads = "tokens"
    num_targets: int
    num_pieces: int

    def material(self, folder, part, tokenizer):
        raise AssertionError("not read from")

    def loss(self, model, rows):
        right = Objective.model_validate({"use": "next_token"}).loss(model, rows)
        return right / (rows.weights > 0).sum().clamp(min=1) * self.num_targets / self.num_pieces


@pytest.mark.parametrize("micro_rows", [1, 2, 4])
def test_micro_batches_of_ragged_label_counts_give_the_gradient_of_the_whole(micro_rows, ground):
    objective = Objective.model_validate({"use": "next_token"})
    material = objective.material(ground.root / "tokens", "train", ground.tokenizer)
    model = Transformer.fresh(Family.model_validate(MODEL).configure(ground.tokenizer.size, 32), Seed(1))
    batch = ragged(material.loader(rows=8, width=32, seed=Seed(2)).batch(0))

    def gradient(objective, micro_rows):
        pieces = Pieces(
            model=model,
            objective=objective,
            stepper=Recorder(model),
            factor=lambda step: 1.0,
            moment_of=lambda step: Moment(0, 1, 1),
            batch_of=lambda step: batch,
            num_steps=1,
            micro_rows=micro_rows,
            clip=1e9,
        )
        next(iter(train(pieces, 0)))
        return torch.cat([gradient.flatten() for gradient in pieces.stepper.seen[0].values()])

    whole = gradient(objective, 8)
    bug = MeanOfMeans(num_targets=batch.num_targets, num_pieces=8 // micro_rows)
    assert float((gradient(objective, micro_rows) - whole).abs().max()) <= 1e-6 * float(whole.abs().max())
    assert float((gradient(bug, micro_rows) - whole).abs().max()) > 1e-2 * float(whole.abs().max())


# Equal configurations, unequal losses


@planted
def test_whoever_draws_between_two_steps_moves_nothing(is_planted, ground, tmp_path, monkeypatch):
    stage = fit(dropout=0.2, save_every=0)
    if is_planted:  # one generator for the whole run
        monkeypatch.setattr(loop.torch, "manual_seed", lambda seed: None)
        torch.random.default_generator.manual_seed(0)
    stage.run(ground.job(tmp_path / "alone"))

    def draw(event):
        if event["kind"] == "metric":
            torch.rand(3), np.random.rand(3), random.random()  # noqa: NPY002

    if is_planted:
        torch.random.default_generator.manual_seed(0)
    stage.run(ground.job(tmp_path / "crowded", sinks=[draw]))
    assert (content(tmp_path / "alone") == content(tmp_path / "crowded")) is not is_planted


def test_dropout_of_a_step_is_that_of_its_data_wherever_the_run_began(ground, tmp_path):
    stage = fit(dropout=0.2, save_every=0, micro_rows=2)
    stage.run(ground.job(tmp_path / "whole"))
    interrupt_at(ground, tmp_path / "torn", 5, stage)
    torch.manual_seed(99)
    stage.run(ground.job(tmp_path / "torn"))
    assert content(tmp_path / "torn") == content(tmp_path / "whole")
    undropped = fit(save_every=0, micro_rows=2)
    undropped.run(ground.job(tmp_path / "undropped"))
    assert content(tmp_path / "undropped") != content(tmp_path / "whole")


def test_what_is_watched_is_never_dropped(ground, tmp_path):
    setup = fit(dropout=0.5).opened(ground.job(tmp_path))
    setup.model.train()
    looks = {setup.held_out.bits_per_byte(setup.model) for _ in range(2)}
    assert looks == {fit().opened(ground.job(tmp_path)).held_out.bits_per_byte(setup.model)}
    assert setup.model.training
