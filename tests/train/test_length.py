import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.core.errors import ConfigError
from whorl.core.quantity import Length
from whorl.train.length import num_steps


@pytest.mark.parametrize(
    ("written", "steps"),
    [
        ("1000 tokens", 10),
        ("1001 tokens", 11),
        ("1 token", 1),
        ("1.1k tokens", 11),
        ("7 steps", 7),
        ("2 epochs", 34),
        ("0.5 epochs", 9),
        ("0.01 epochs", 1),
    ],
)
def test_lengths_become_steps_of_a_hundred_tokens_and_seventeen_steps_an_epoch(written, steps):
    assert num_steps(Length.parse(written), tokens_per_step=100, steps_per_epoch=17) == steps


@given(tokens=st.integers(1, 10**12), per_step=st.integers(1, 10**6))
def test_written_tokens_are_reached_and_not_passed_by_a_whole_step(tokens, per_step):
    steps = num_steps(Length(tokens, "tokens"), tokens_per_step=per_step, steps_per_epoch=1)
    assert (steps - 1) * per_step < tokens <= steps * per_step


def test_a_time_is_not_a_number_of_steps():
    with pytest.raises(ConfigError, match="is a time"):
        num_steps(Length.parse("3h"), tokens_per_step=100, steps_per_epoch=17)


def test_half_a_step_is_refused():
    with pytest.raises(ConfigError, match="whole number of steps"):
        num_steps(Length.parse("1.5 steps"), tokens_per_step=100, steps_per_epoch=17)
