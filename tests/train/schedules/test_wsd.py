import pytest
from pydantic import ValidationError

from whorl.core.errors import ConfigError
from whorl.train.schedules import Moment, Schedule


def wsd(**fields):
    return Schedule.model_validate({"use": "wsd", **fields})


def factors(schedule, num_steps):
    return [schedule.factor(Moment(32 * step, 32 * (step + 1), 32 * num_steps)) for step in range(num_steps)]


def test_ten_steps_rise_hold_and_fall_linearly():
    assert factors(wsd(warmup=0.2, decay=0.4), 10) == pytest.approx([0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25])


def test_the_square_root_shape_falls_faster_first():
    fallen = factors(wsd(warmup=0, decay=1, shape="sqrt"), 4)
    assert fallen == pytest.approx([1, 1 - 0.25**0.5, 1 - 0.5**0.5, 1 - 0.75**0.5])


def test_the_floor_is_what_the_decay_runs_to():
    assert factors(wsd(warmup=0, decay=0.5, floor=0.2), 10)[-1] == pytest.approx(0.2 + 0.8 * 0.2)


def test_without_a_decay_the_peak_is_kept_to_the_last_step():
    assert factors(wsd(warmup=0, decay=0), 10)[-1] == 1.0


def test_a_decay_written_in_tokens_stays_as_long_in_a_longer_run():
    schedule = wsd(warmup="64 tokens", decay="128 tokens")
    assert factors(schedule, 10) == pytest.approx([0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25])
    assert factors(schedule, 20)[-4:] == pytest.approx([1, 0.75, 0.5, 0.25])


def test_warmup_and_decay_that_overlap_are_refused():
    with pytest.raises(ValidationError, match=r"warmup=0\.5 and decay=0\.6 overlap"):
        wsd(warmup=0.5, decay=0.6)


def test_written_stretches_that_overlap_in_this_run_are_refused():
    with pytest.raises(ConfigError, match=r"warmup=200 tokens and decay=0\.5 overlap in the run of 320 tokens"):
        factors(wsd(warmup="200 tokens", decay=0.5), 10)


def test_fractions_that_make_up_the_whole_run_are_not_refused():
    assert factors(wsd(warmup=0.3, decay=0.7), 10)[2] == pytest.approx(1.0)
