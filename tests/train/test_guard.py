import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from whorl.core.seed import Seed
from whorl.train.guard import Guard, Sentry, told

CPU = torch.device("cpu")


def judge(sentry, loss, norm=1.0, num_targets=100):
    return sentry.judge(torch.tensor(loss * num_targets), torch.tensor(norm), num_targets=num_targets)


def calm(sentry, steps, seed=0):
    """Feed it ordinary steps: loss 3 give or take 0.1, norm 1 give or take 0.05."""
    draw = Seed(seed).generator()
    for _ in range(steps):
        assert judge(sentry, 3 + 0.1 * draw.standard_normal(), 1 + 0.05 * draw.standard_normal()).is_good


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_bad_from_the_first_step_on(bad):
    sentry = Sentry(Guard(), CPU)
    assert not judge(sentry, bad).is_good
    assert not judge(sentry, 3.0, norm=bad).is_good
    assert judge(sentry, 3.0).is_good


@pytest.mark.parametrize(("above", "is_good"), [(5.9, True), (6.1, False)])
def test_six_deviations_above_the_window_is_bad_and_fewer_are_not(above, is_good):
    for figure in ("loss", "norm"):
        sentry = Sentry(Guard(), CPU)
        for value in [2.0, 4.0] * 64:  # mean 3, deviation 1
            judge(sentry, value, math.exp(value))
        high = 3.0 + above
        verdict = judge(sentry, high, math.exp(3)) if figure == "loss" else judge(sentry, 3.0, math.exp(high))
        assert bool(verdict.is_good) is is_good
        assert float(verdict.deviations[0 if figure == "loss" else 1]) == pytest.approx(above, rel=1e-4)


def test_gradient_norms_are_compared_by_factors():
    sentry = Sentry(Guard(), CPU)
    for norm in [0.5, 1.0, 2.0, 1.0] * 32:
        judge(sentry, 3.0, norm)
    assert judge(sentry, 3.0, 16.0).is_good  # 24 times as far above the mean as most, but only a factor of eight above 2
    assert not judge(sentry, 3.0, 64.0).is_good


def test_a_fall_of_any_size_is_good():
    sentry = Sentry(Guard(), CPU)
    calm(sentry, 128)
    assert judge(sentry, 0.01, 1e-6).is_good


def test_nothing_is_compared_before_half_a_window_is_full():
    sentry = Sentry(Guard(window=10), CPU)
    for loss in (1.0, 1.0, 1.0, 1.0, 50.0):
        assert judge(sentry, loss).is_good
    sentry = Sentry(Guard(window=10), CPU)
    for loss in (1.0, 1.0, 1.0, 1.0, 1.0):
        assert judge(sentry, loss).is_good
    assert not judge(sentry, 50.0).is_good


def test_a_spike_does_not_hide_the_next_one():
    sentry = Sentry(Guard(), CPU)
    calm(sentry, 128)
    verdicts = [bool(judge(sentry, 30.0).is_good) for _ in range(10)]
    assert verdicts == [False] * 10
    assert judge(sentry, 3.1).is_good


def test_a_run_that_has_changed_for_good_is_accepted_in_time():
    sentry = Sentry(Guard(window=32), CPU)
    calm(sentry, 32)
    verdicts = [bool(judge(sentry, 5.0).is_good) for _ in range(20)]
    assert verdicts == sorted(verdicts)
    assert not verdicts[0]
    assert verdicts[-1]


def test_only_the_last_window_counts():
    sentry = Sentry(Guard(window=16), CPU)
    for loss in [*([9.0, 11.0] * 8), *([2.9, 3.1] * 8)]:
        assert judge(sentry, loss).is_good
    assert float(judge(sentry, 3.5).deviations[0]) == pytest.approx(5.0, rel=1e-3)


@pytest.mark.parametrize(("num_targets", "deviations"), [(400, 8.0), (100, 4.0), (1600, 8.0)])
def test_a_step_of_few_targets_may_scatter_more(num_targets, deviations):
    sentry = Sentry(Guard(window=16), CPU)
    for loss in [2.9, 3.1] * 8:
        judge(sentry, loss, num_targets=400)
    assert float(judge(sentry, 3.8, num_targets=num_targets).deviations[0]) == pytest.approx(deviations, rel=1e-3)


def test_a_step_without_targets_says_nothing():
    sentry = Sentry(Guard(window=16), CPU)
    calm(sentry, 16)
    before = {name: tensor.clone() for name, tensor in sentry.state().items()}
    assert sentry.judge(torch.tensor(0.0), torch.tensor(0.0), num_targets=0).is_good
    assert all(torch.equal(tensor, before[name]) for name, tensor in sentry.state().items())


def test_a_curve_without_any_scatter_is_not_cut_off_by_rounding():
    for loss, little, much in [(3.0, 1e-3, 0.1), (1e-4, 1e-3, 0.1)]:
        sentry = Sentry(Guard(window=8), CPU)
        for _ in range(8):
            judge(sentry, loss)
        assert judge(sentry, loss + little).is_good
        assert not judge(sentry, loss + much).is_good


@given(seed=st.integers(0, 999))
def test_ordinary_steps_are_never_left_out(seed):
    calm(Sentry(Guard(window=32), CPU), 100, seed)


def test_going_on_from_its_state_gives_the_same_verdicts_bit_for_bit():
    whole, first = Sentry(Guard(window=16), CPU), Sentry(Guard(window=16), CPU)
    draw = Seed(3).generator()
    losses = (3 + draw.standard_cauchy(60) * 0.05).astype(np.float32).tolist()
    for loss in losses[:31]:
        judge(whole, loss)
        judge(first, loss)
    second = Sentry(Guard(window=16), CPU)
    second.load({name: tensor.clone() for name, tensor in first.state().items()})
    for loss in losses[31:]:
        mine, its = judge(second, loss), judge(whole, loss)
        assert torch.equal(mine.is_good, its.is_good)
        assert torch.equal(mine.deviations, its.deviations)
    assert all(torch.equal(whole.state()[name], tensor) for name, tensor in second.state().items())


def test_where_nobody_waits_a_bad_gradient_becomes_zero_and_a_good_one_stays():
    sentry = Sentry(Guard(), CPU)
    sentry._is_read_at_once = False  # as on a GPU
    bad, good = judge(sentry, math.nan), judge(sentry, 3.0)
    assert not sentry.stops(bad)
    for verdict, want in [(good, [1.0, 2.0]), (bad, [0.0, 0.0])]:
        gradient = torch.tensor([1.0, 2.0])
        sentry.mute([gradient], verdict)
        assert gradient.tolist() == want
    broken = torch.tensor([math.nan, math.inf])
    sentry.mute([broken], bad)
    assert broken.tolist() == [0.0, 0.0]


def test_a_verdict_in_words():
    assert told(9.412, math.nan, [17.23, math.nan]) == "loss 9.412 (17.2 deviations above its window), gradient norm nan"
