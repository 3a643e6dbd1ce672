import pytest
from pydantic import ValidationError

from whorl.train.schedules import Schedule


def wsd(**fields):
    return Schedule.model_validate({"use": "wsd", **fields})


def test_ten_steps_rise_hold_and_fall_linearly():
    factors = [wsd(warmup=0.2, decay=0.4).factor(step, 10) for step in range(10)]
    assert factors == pytest.approx([0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25])


def test_the_square_root_shape_falls_faster_first():
    factors = [wsd(warmup=0, decay=1, shape="sqrt").factor(step, 4) for step in range(4)]
    assert factors == pytest.approx([1, 1 - 0.25**0.5, 1 - 0.5**0.5, 1 - 0.75**0.5])


def test_the_floor_is_what_the_decay_runs_to():
    assert wsd(warmup=0, decay=0.5, floor=0.2).factor(9, 10) == pytest.approx(0.2 + 0.8 * 0.2)


def test_without_a_decay_the_peak_is_kept_to_the_last_step():
    assert wsd(warmup=0, decay=0).factor(9, 10) == 1.0


def test_warmup_and_decay_that_overlap_are_refused():
    with pytest.raises(ValidationError, match=r"warmup=0\.5 and decay=0\.6 overlap"):
        wsd(warmup=0.5, decay=0.6)
