import math

import torch

from whorl.train.scaler import LossScale

FINITE, BROKEN = torch.tensor(1.0), torch.tensor(math.inf)


def test_a_constant_scale_is_one_and_never_asks_the_device():
    scale = LossScale(is_dynamic=False)
    assert not scale.overflows_at(BROKEN, BROKEN)
    assert (scale.scale, scale.overflows) == (1.0, 0)


def test_it_halves_at_an_overflow_and_doubles_after_a_thousand_calm_steps():
    scale = LossScale(is_dynamic=True)
    assert scale.overflows_at(FINITE, BROKEN)
    assert (scale.scale, scale.overflows) == (2.0**15, 1)
    assert not any(scale.overflows_at(FINITE, FINITE) for _ in range(999))
    assert scale.scale == 2.0**15
    scale.overflows_at(FINITE, FINITE)
    assert scale.scale == 2.0**16


def test_a_loss_that_is_not_finite_is_no_matter_of_range():
    scale = LossScale(is_dynamic=True)
    assert not scale.overflows_at(torch.tensor(math.nan), BROKEN)
    assert scale.scale == 2.0**16


def test_a_gradient_that_overflows_at_any_scale_is_left_to_the_guard():
    scale = LossScale(is_dynamic=True)
    assert all(scale.overflows_at(FINITE, BROKEN) for _ in range(30))
    assert scale.scale == 2.0**-14
    assert not scale.overflows_at(FINITE, BROKEN)


def test_going_on_from_its_state_gives_the_same_scale():
    scale, other = LossScale(is_dynamic=True), LossScale(is_dynamic=True)
    for norm in [FINITE] * 700 + [BROKEN] + [FINITE] * 999:
        scale.overflows_at(FINITE, norm)
    other.load(scale.state())
    scale.overflows_at(FINITE, FINITE)
    other.overflows_at(FINITE, FINITE)
    assert (other.scale, other.overflows) == (scale.scale, scale.overflows) == (2.0**16, 1)
