import math

import numpy as np
import pytest
import torch

from whorl.core.errors import DataError
from whorl.core.events import Events
from whorl.tokens.batch import Batch
from whorl.train.guard import Verdict
from whorl.train.journal import Journal, Lines
from whorl.train.loop import Finding, Step
from whorl.train.state import LossPoint, Progress, Skip

RATES = {"muon": 0.02, "adam": 0.5}
NOTHING = torch.zeros(2)


def batch(num_targets):
    """One row with so many targets of the document doc-1."""
    weights = np.ones((1, num_targets), np.float32)
    empty = np.zeros((1, num_targets), np.int64)
    return Batch(empty, empty, weights, empty, empty, (("doc-1",),))


def step(number, nats=20.0, num_targets=10, finding=None):
    return Step(number, torch.tensor(nats), torch.tensor(0.5), 0.5, batch(num_targets), finding or Finding())


def judged(number, nats=20.0, *, is_good, deviations=(0.0, 0.0)):
    verdict = Verdict(torch.tensor(is_good), torch.tensor(deviations))
    return step(number, nats, finding=Finding(is_taken=is_good, verdict=verdict))


def follow(num_steps, steps, progress=None, device="cpu"):
    said = []
    progress = progress or Progress()
    lines = Lines(
        num_steps=num_steps,
        tokens=lambda steps: 64 * steps,
        device=torch.device(device),
        figures=lambda tokens, seconds: {"tokens_per_s": tokens / seconds},
        bytes_of=lambda batch: 3.0 * batch.num_targets,
        row_past=lambda steps, detours: 4 * steps + sum(one.rows for one in detours),
    )
    journal = Journal(progress, Events("base", [said.append]), lines)
    for one in steps:
        journal.note(one, RATES)
    return progress, said, journal


def test_a_short_run_has_a_point_for_every_step():
    progress, said, _ = follow(3, [step(1, 20.0), step(2, 10.0), step(3, 5.0, 1)])
    assert progress.losses == [LossPoint(1, 2.0), LossPoint(2, 1.0), LossPoint(3, 5.0)]
    assert (progress.step, progress.num_targets) == (3, 21)
    metrics = [event for event in said if event["kind"] == "metric"]
    assert [event["loss"] for event in metrics] == [2.0, 1.0, 5.0]
    assert [event["data_row"] for event in metrics] == [4, 8, 12]
    assert metrics[0]["bits_per_byte"] == pytest.approx(20.0 / math.log(2) / 30)


def test_a_long_run_has_two_hundred_points_each_the_mean_over_its_targets():
    steps = [step(n, nats=float(n), num_targets=1 + n % 3) for n in range(1, 1001)]
    progress, _, _ = follow(1000, steps)
    assert [point.step for point in progress.losses] == list(range(5, 1001, 5))
    assert progress.losses[0].loss == pytest.approx((1 + 2 + 3 + 4 + 5) / (2 + 3 + 1 + 2 + 3))


def test_going_on_from_saved_progress_gives_the_same_curve():
    steps = [step(n, nats=float(n) / 3) for n in range(1, 1001)]
    whole, _, _ = follow(1000, steps)
    half, _, _ = follow(1000, steps[:503])
    resumed, _, _ = follow(1000, steps[503:], progress=Progress.from_json(half.to_json()))
    assert resumed == whole


def test_progress_says_loss_speed_and_the_rate_now():
    _, said, _ = follow(1, [step(1)])
    (told,) = [event for event in said if event["kind"] == "progress"]
    assert (told["step"], told["total"], told["unit"], told["loss"], told["lr"]) == (1, 1, "step", 2.0, 0.25)
    assert told["tokens_per_s"] > 0


def test_where_reading_is_slow_steps_are_read_together_and_the_curve_is_the_same():
    steps = [step(n, nats=float(n)) for n in range(1, 10_001)]
    near, _, _ = follow(10_000, steps)
    far, _, _ = follow(10_000, steps, device="meta")
    assert far == near


def test_a_step_that_is_not_finite_stops_the_run_before_it_counts():
    progress = Progress()
    with pytest.raises(DataError, match="step 2, documents doc-1"):
        follow(3, [step(1), step(2, float("nan"))], progress)
    assert progress.step == 1


def test_the_held_out_measure_is_told_and_kept():
    progress, said, journal = follow(2, [step(1)])
    journal.watched(1, 1.75)
    assert progress.held_out == [(1, 1.75)]
    assert said[-1]["held_out_bits_per_byte"] == 1.75
    journal.note(step(2), RATES)
    assert said[-1]["held_out_bits_per_byte"] == 1.75


def test_a_step_that_was_left_out_is_told_with_its_documents_and_counts_for_no_curve():
    bad = judged(2, 500.0, is_good=False, deviations=(17.25, 0.0))
    progress, said, _ = follow(3, [judged(1, 20.0, is_good=True), bad, judged(3, 10.0, is_good=True)])
    (why,) = progress.skips
    assert why == Skip(2, "loss 50 (17.2 deviations above its window), gradient norm 0.5")
    (warning,) = [event for event in said if event["kind"] == "warning"]
    assert warning["message"] == f"step 2, documents doc-1: left out, {why.why}"
    assert progress.losses == [LossPoint(1, 2.0), LossPoint(3, 1.0)]
    assert (progress.step, progress.num_targets, progress.bad_in_row) == (3, 20, 0)


def test_bad_steps_in_a_row_are_counted_until_a_good_one():
    bad = [judged(number, float("nan"), is_good=False) for number in (2, 3)]
    progress, _, journal = follow(9, [judged(1, is_good=True), *bad])
    assert progress.bad_in_row == 2
    journal.note(judged(4, is_good=True), RATES)
    assert (progress.bad_in_row, [skip.step for skip in progress.skips]) == (0, [2, 3])


def test_an_overflow_of_float16_is_left_out_but_is_no_bad_step():
    overflow = step(1, finding=Finding(is_taken=False, is_overflow=True))
    progress, _, _ = follow(2, [overflow, judged(2, is_good=True)])
    assert (progress.bad_in_row, progress.num_targets) == (0, 10)
    assert progress.skips == [Skip(1, "its gradient left the range of float16; the loss scale is halved")]


def test_after_turning_back_the_curve_goes_on_from_the_earlier_progress():
    _, _, journal = follow(4, [judged(n, is_good=True) for n in (1, 2, 3)])
    journal.turned_back(Progress(1, 10, losses=[LossPoint(1, 2.0)]))
    journal.note(judged(2, 10.0, is_good=True), RATES)
    assert journal.progress.losses == [LossPoint(1, 2.0), LossPoint(2, 1.0)]


def test_a_point_of_the_curve_tells_speed_and_where_in_the_data_it_is():
    _, said, _ = follow(2, [step(1), step(2)])
    first, last = [event for event in said if event["kind"] == "metric"]
    assert (first["tokens"], last["tokens"]) == (64, 128)
    assert last["position"] == "step 2, documents doc-1"
    assert last["tokens_per_s"] > 0
