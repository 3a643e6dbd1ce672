"""What a run does besides training: leave bad steps out, go back, look, stop early; and all of it the same after a crash."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_resume import interrupt_at
from toy_training import content, fit

from whorl.core.errors import DataError
from whorl.core.seed import Seed
from whorl.train.course import Course
from whorl.train.detour import Detour, places_at
from whorl.train.loop import train
from whorl.train.reading import Reading
from whorl.train.validate import HeldOut

GUARD = {"window": 8, "skips": 2, "keep_every": 5, "rollbacks": 2}
FLAT = {"use": "wsd", "warmup": 0, "decay": 0}
EVERYTHING = {
    "dropout": 0.1,
    "average": {"decay": 0.9},
    "ramp": {"start_rows": 1, "over": 0.5},
    "patience": 40,
    "guard": {**GUARD, "rollbacks": 5},
    "micro_rows": 2,
    "length": "16 steps",
}


@pytest.fixture
def poison(monkeypatch):
    """poison(places, factor): the weights of every target at these places of the data are multiplied by the factor."""

    def apply(places, factor):
        clean = Course.batch

        def batch(course, step, detours=()):
            found = clean(course, step, detours)
            here = places_at(step, course.timetable, detours)
            is_bad = np.array([place in places for place in here])
            return replace(found, weights=np.where(is_bad[:, None] & (found.weights > 0), factor, found.weights))

        monkeypatch.setattr(Course, "batch", batch)

    return apply


def run(ground, draft, **changes):
    said = []
    counts = fit(**changes).run(ground.job(draft, sinks=[said.append]))
    return counts, said


def curve(draft):
    return json.loads((draft / "checkpoint" / "training.json").read_text())


def weights(draft):
    return load_file(draft / "checkpoint" / "model.safetensors")


# Steps left out


@pytest.mark.parametrize("factor", [math.nan, math.inf, 1e4])
def test_a_bad_step_is_left_out_and_the_run_ends_well(factor, ground, tmp_path, poison):
    poison(range(36, 40), factor)  # the tenth step of four rows
    counts, said = run(ground, tmp_path, guard=GUARD)
    assert [step for step, _ in curve(tmp_path)["skips"]] == [10]
    (warning,) = [event["message"] for event in said if event["kind"] == "warning"]
    assert warning.startswith("step 10, documents doc-")
    assert (counts["steps"], curve(tmp_path)["returns"]) == (12, [])
    assert counts["loss"] < 6
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path).values())


def test_the_optimizer_never_sees_a_step_that_is_left_out(ground, tmp_path, poison):
    poison(range(44, 48), math.nan)  # the last step
    run(ground, tmp_path / "guarded", guard=GUARD, watch=None, schedule=FLAT)
    run(ground, tmp_path / "shorter", guard=GUARD, watch=None, schedule=FLAT, length="11 steps")
    for name in ("checkpoint/model.safetensors", "state/moments.safetensors", "state/guard.safetensors"):
        assert (tmp_path / "guarded" / name).read_bytes() == (tmp_path / "shorter" / name).read_bytes()


def test_a_loss_that_is_not_finite_ends_a_run_that_nobody_guards(ground, tmp_path, poison):
    poison(range(36, 40), math.nan)
    with pytest.raises(DataError, match=r"step 10, documents .* let a guard leave such steps out"):
        run(ground, tmp_path, guard=None)


def test_a_run_in_which_no_step_could_be_taken_leaves_no_checkpoint(ground, tmp_path, poison):
    poison(range(1000), math.nan)
    with pytest.raises(DataError, match=r"none of 2 steps was taken, the last because of this: loss nan, gradient norm nan"):
        run(ground, tmp_path, length="2 steps")
    assert not (tmp_path / "checkpoint/model.safetensors").exists()


# Going back


def test_bad_data_of_several_steps_is_left_behind(ground, tmp_path, poison):
    poison(range(28, 44), math.nan)  # steps 8 to 11
    counts, said = run(ground, tmp_path, guard=GUARD)
    found = curve(tmp_path)
    # Steps 8 and 9 are bad; back to the checkpoint of step 5, and past what was read by then: 20 to 35.
    # Then the first step reads 36 to 39 and the second 40 to 43, both bad: back to 5 again, on at 44.
    assert found["returns"] == [[9, 5, 20, 36], [7, 5, 36, 44]]
    assert found["detours"] == [[5, 24]]
    assert [step for step, _ in found["skips"]] == [8, 9, 6, 7]
    assert (counts["steps"], counts["tokens"]) == (12, 12 * 128)
    assert [step for step, _ in found["loss"]] == list(range(1, 13))
    assert all(math.isfinite(loss) for _, loss in found["loss"])
    told = [event["message"] for event in said if event["kind"] == "warning" and "went back" in event["message"]]
    assert "went back to step 5 and past rows 20 to 35 of the data" in told[0]
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path).values())


def test_a_run_that_went_back_is_one_that_had_never_read_what_it_left_behind(ground, tmp_path, poison, monkeypatch):
    with monkeypatch.context() as here:
        batch, further = Course.batch, [Detour(5, 16)]  # from the sixth step on, what lies behind the ninth
        here.setattr(Course, "batch", lambda course, step, detours: batch(course, step, further))
        run(ground, tmp_path / "clean", guard=None, watch=None)
    poison(range(28, 36), math.nan)
    run(ground, tmp_path / "back", guard=GUARD, watch=None)
    clean, back = weights(tmp_path / "clean"), weights(tmp_path / "back")
    assert all(torch.equal(clean[name], back[name]) for name in clean)


def test_a_run_that_turns_bad_again_and_again_says_what_was_tried(ground, tmp_path, poison):
    poison(range(24, 1000), math.nan)
    with pytest.raises(
        DataError, match=r"step 7, documents doc-.*loss nan.*went back to step 5 2 times and it turned bad again"
    ):
        run(ground, tmp_path, guard=GUARD)
    assert not (tmp_path / "checkpoint/model.safetensors").exists()


def test_weights_that_are_not_finite_are_not_saved_but_left_behind(ground, tmp_path, monkeypatch):
    broken = []

    def breaks_once(pieces, first):
        for step in train(pieces, first):
            if step.number == 10 and not broken:  # its update, and not its gradient, was too much for float32
                pieces.model.blocks[0].mlp.up.weight.data[0, 0] = math.inf
                broken.append(step)
            yield step

    monkeypatch.setattr("whorl.train.follow.train", breaks_once)
    run(ground, tmp_path, guard=GUARD)
    assert curve(tmp_path)["returns"] == [[10, 5, 20, 40]]
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path).values())


# After a crash


@pytest.mark.parametrize("bad", [range(0), range(10, 11), range(8, 14)], ids=["clean", "one bad step", "going back"])
def test_a_run_with_everything_on_interrupted_anywhere_equals_an_uninterrupted_one(bad, ground, tmp_path, poison):
    poison(bad, math.nan)
    stage = fit(**EVERYTHING, save_every=0)
    stage.run(ground.job(tmp_path / "whole"))
    assert bool(curve(tmp_path / "whole")["returns"]) is (len(bad) > 1)
    told = sorted({step for step, _ in curve(tmp_path / "whole")["loss"]})
    draw = Seed(1).child(str(bad)).generator()
    for step in sorted(draw.choice(told[1:], size=4, replace=False).tolist()):
        interrupt_at(ground, tmp_path / "torn", step, stage)
    stage.run(ground.job(tmp_path / "torn"))
    assert content(tmp_path / "torn") == content(tmp_path / "whole")


def test_saving_at_other_moments_changes_nothing(ground, tmp_path, poison):
    """Where resume points lie is the clock's business; where a run goes back to is not."""
    poison(range(8, 14), math.nan)
    for name, save_every in [("often", 0), ("never", 1e9)]:
        run(ground, tmp_path / name, **EVERYTHING, save_every=save_every)
    assert content(tmp_path / "often") == content(tmp_path / "never")


# Looking


def test_what_was_reached_is_saved_before_it_is_measured(ground, tmp_path, monkeypatch):
    measure = HeldOut.bits_per_byte

    def fails_at_ten(held_out, model):
        if list((tmp_path / "checkpoint/scratch").glob("step-00000010")):
            raise MemoryError
        return measure(held_out, model)

    run(ground, tmp_path / "whole")
    with monkeypatch.context() as here:
        here.setattr(HeldOut, "bits_per_byte", fails_at_ten)
        with pytest.raises(MemoryError):
            run(ground, tmp_path, save_every=1e9)
    assert (tmp_path / "checkpoint/scratch/step-00000010").is_dir()
    _, said = run(ground, tmp_path, save_every=1e9)
    assert min(event["step"] for event in said if event["kind"] == "metric") == 10  # the look that failed, and no step before
    assert [step for step, _ in curve(tmp_path)["held_out_bits_per_byte"]] == [0, 5, 10, 12]
    for name in ("checkpoint/model.safetensors", "checkpoint/training.json"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_run_ends_when_looking_longer_is_pointless_and_keeps_its_best_weights(ground, tmp_path, monkeypatch):
    falls_then_rises = iter([5.0, 3.0, 2.0, 2.5, 2.0, 2.1, 1.0])
    taken = {}

    def scripted(held_out, model):
        taken[2 * len(taken)] = model.embed.weight.detach().clone()
        return next(falls_then_rises)

    monkeypatch.setattr(HeldOut, "bits_per_byte", scripted)
    counts, said = run(ground, tmp_path, patience=3, watch={"every": 2, "documents": 4}, length="40 steps")
    assert counts["steps"] == 10  # looks at 0, 2, 4 (best), 6, 8, 10
    assert counts["held_out_bits_per_byte"] == 2.0
    (ended,) = [event for event in said if event["kind"] == "early_stop"]
    assert (ended["step"], ended["best_step"]) == (10, 4)
    assert torch.equal(weights(tmp_path)["model.embed_tokens.weight"], taken[4])


def test_samples_are_said_at_every_look_and_change_nothing(ground, tmp_path):
    _, said = run(ground, tmp_path / "asked", samples={"prompts": ["the loom"], "tokens": 4, "temperature": 1.0}, dropout=0.1)
    run(ground, tmp_path / "not", dropout=0.1)
    samples = [event for event in said if event["kind"] == "sample"]
    assert [event["step"] for event in samples] == [0, 5, 10, 12]
    assert samples[0]["prompt"] == "the loom"
    assert content(tmp_path / "asked") == content(tmp_path / "not")


def test_an_average_is_what_is_watched_and_finished_and_the_own_weights_lie_beside(ground, tmp_path):
    run(ground, tmp_path / "own")
    run(ground, tmp_path / "mean", average={"decay": 0.8})
    own, mean = weights(tmp_path / "own"), weights(tmp_path / "mean")
    kept = load_file(tmp_path / "mean/state/weights.safetensors")
    assert any(not torch.equal(own[name], mean[name]) for name in own)
    assert torch.equal(own["model.embed_tokens.weight"], kept["embed.weight"])
    looks = [curve(tmp_path / name)["held_out_bits_per_byte"] for name in ("own", "mean")]
    assert looks[0][0] == looks[1][0]  # before the first step
    assert looks[0][-1] != looks[1][-1]


def test_what_a_run_that_went_back_read_at_which_step_can_be_told(ground, tmp_path, poison, monkeypatch):
    poison(range(8, 14), math.nan)
    stage, job = fit(**EVERYTHING), ground.job(tmp_path)
    read, batch = {}, Course.batch

    def noted(course, step, detours=()):
        found = batch(course, step, detours)
        read[step + 1] = {name for names in found.doc_ids for name in names}  # a step taken again counts as it was last taken
        return found

    monkeypatch.setattr(Course, "batch", noted)
    counts = stage.run(job)
    loader = stage.opened(job).loader
    detours = tuple(Detour(*one) for one in curve(tmp_path)["detours"])
    told = Reading(loader, stage.timetable(loader), detours, counts["steps"])
    assert detours
    assert {step: set(told.documents(step)) for step in range(1, counts["steps"] + 1)} == read
    name = min(read[counts["steps"]])
    assert told.steps_of(name) == [step for step in sorted(read) if name in read[step]]
