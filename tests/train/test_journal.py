import pytest
import torch

from whorl.core.errors import DataError
from whorl.core.events import Events
from whorl.train.journal import Journal
from whorl.train.loop import Step
from whorl.train.state import LossPoint, Progress

RATES = {"muon": 0.02, "adam": 0.5}


def step(number, nats=20.0, num_targets=10):
    return Step(number, torch.tensor(nats), torch.tensor(0.5), num_targets, 0.5, (("doc-1",),))


def follow(num_steps, steps, progress=None, device="cpu"):
    said = []
    progress = progress or Progress()
    journal = Journal(
        progress, Events("base", [said.append]), num_steps=num_steps, tokens_per_step=64, device=torch.device(device)
    )
    for one in steps:
        journal.note(one, RATES)
    return progress, said, journal


def test_a_short_run_has_a_point_for_every_step():
    progress, said, _ = follow(3, [step(1, 20.0), step(2, 10.0), step(3, 5.0, 0)])
    assert progress.losses == [LossPoint(1, 2.0), LossPoint(2, 1.0), LossPoint(3, 5.0)]
    assert (progress.step, progress.num_targets) == (3, 20)
    assert [event["loss"] for event in said if event["kind"] == "metric"] == [2.0, 1.0, 5.0]


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
    journal.watched(1, 1.75, seconds=0.0)
    assert progress.held_out == [(1, 1.75)]
    assert said[-1]["held_out_bits_per_byte"] == 1.75
    journal.note(step(2), RATES)
    assert said[-1]["held_out_bits_per_byte"] == 1.75
