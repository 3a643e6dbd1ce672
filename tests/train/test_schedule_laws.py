"""Laws of every schedule behind the door."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.train.schedules import Schedule

NAMES = Schedule.names()


@pytest.mark.parametrize("name", NAMES)
@given(num_steps=st.integers(1, 10_000), data=st.data())
def test_a_factor_lies_between_nothing_and_the_peak_and_no_step_is_wasted(name, num_steps, data):
    step = data.draw(st.integers(0, num_steps - 1))
    assert 0 < Schedule.model_validate({"use": name}).factor(step, num_steps) <= 1


@pytest.mark.parametrize("name", NAMES)
@given(num_steps=st.integers(50, 5_000), scale=st.integers(2, 20), share=st.floats(0.05, 0.95))
def test_a_longer_run_has_the_same_shape(name, num_steps, scale, share):
    schedule = Schedule.model_validate({"use": name})
    short = schedule.factor(int(share * num_steps), num_steps)
    long = schedule.factor(int(share * num_steps) * scale, num_steps * scale)
    assert short == pytest.approx(long, abs=3 / (0.02 * num_steps))  # a step more or less on the steepest stretch, the warmup
