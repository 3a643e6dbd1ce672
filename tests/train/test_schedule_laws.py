"""Laws of every schedule behind the door."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from whorl.core.canonical import digest, plain
from whorl.train.schedules import Moment, Schedule

NAMES = Schedule.names()
VARIANTS = [{"use": name} for name in NAMES] + [{"use": name, "warmup": "3000 tokens"} for name in NAMES]
VARIANTS += [{"use": "wsd", "shape": "sqrt", "decay": "5000 tokens"}, {"use": "cosine", "warmup": 1.0}]

every_schedule = pytest.mark.parametrize("written", VARIANTS, ids=str)


def moment(step, num_steps, size=1):
    return Moment(step * size, (step + 1) * size, num_steps * size)


@every_schedule
@given(num_steps=st.integers(125, 10_000), size=st.integers(64, 10_000), data=st.data())
def test_a_factor_lies_between_nothing_and_the_peak_and_no_step_is_wasted(written, num_steps, size, data):
    step = data.draw(st.integers(0, num_steps - 1))
    assert 0 < Schedule.model_validate(written).factor(moment(step, num_steps, size)) <= 1


@pytest.mark.parametrize("name", NAMES)
@given(num_steps=st.integers(1, 20), data=st.data())
def test_a_run_of_a_few_steps_has_factors_too(name, num_steps, data):
    step = data.draw(st.integers(0, num_steps - 1))
    assert 0 < Schedule.model_validate({"use": name}).factor(moment(step, num_steps)) <= 1


@pytest.mark.parametrize("name", NAMES)
@given(num_steps=st.integers(50, 5_000), scale=st.integers(2, 20), share=st.floats(0.05, 0.95))
def test_a_longer_run_has_the_same_shape(name, num_steps, scale, share):
    schedule = Schedule.model_validate({"use": name})
    short = schedule.factor(moment(int(share * num_steps), num_steps))
    long = schedule.factor(moment(int(share * num_steps) * scale, num_steps * scale))
    assert short == pytest.approx(long, abs=3 / (0.02 * num_steps))  # a step more or less on the steepest stretch, the warmup


@every_schedule
@given(cuts=st.lists(st.integers(1, 999_999), min_size=2, max_size=12, unique=True))
def test_a_step_has_the_largest_factor_of_the_steps_it_could_be_split_into(written, cuts):
    """Hence the curve over tokens is the same whatever the batch size, and while the batch size changes."""
    schedule = Schedule.model_validate(written)
    cuts = sorted(cuts)
    whole = schedule.factor(Moment(cuts[0], cuts[-1], 1_000_000))
    parts = [schedule.factor(Moment(before, after, 1_000_000)) for before, after in pairwise(cuts)]
    assert whole == pytest.approx(max(parts), rel=1e-9)


@every_schedule
def test_the_curve_has_no_jump_in_the_limit_of_small_steps(written):
    """The steepest place is the start of the square-root decay: one of its 5000 tokens takes sqrt(1 / 5000)."""
    schedule = Schedule.model_validate(written)
    factors = [schedule.factor(Moment(token, token + 1, 20_000)) for token in range(20_000)]
    assert max(abs(after - before) for before, after in pairwise(factors)) <= 1.001 * (1 / 5000) ** 0.5


@pytest.mark.parametrize("name", NAMES)
def test_a_fraction_and_the_same_length_in_tokens_are_one_curve(name):
    fraction = Schedule.model_validate({"use": name, "warmup": 0.25})
    written = Schedule.model_validate({"use": name, "warmup": "1k tokens"})
    found = [[schedule.factor(moment(step, 40, 100)) for step in range(40)] for schedule in (fraction, written)]
    assert found[0] == pytest.approx(found[1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("warmup", ["3 steps", "2h", -0.1, 1.5, True, None])
def test_a_stretch_that_is_neither_a_fraction_nor_tokens_is_refused(name, warmup):
    with pytest.raises(ValidationError, match="want a"):
        Schedule.model_validate({"use": name, "warmup": warmup})


@every_schedule
def test_what_is_written_down_is_read_back_with_the_same_fingerprint(written):
    schedule = Schedule.model_validate(written)
    again = Schedule.model_validate(json.loads(json.dumps(plain(schedule))))
    assert again == schedule
    assert digest(plain(again)) == digest(plain(schedule))


def test_a_recipe_schema_can_be_drawn_for_every_schedule():
    drawn = Schedule.model_json_schema()
    assert {one["properties"]["use"]["const"] for one in drawn["anyOf"]} == set(NAMES)
