import pytest

from whorl.core.errors import ConfigError
from whorl.train.schedules import Moment, Schedule


def factors(schedule, num_steps):
    return [schedule.factor(Moment(32 * step, 32 * (step + 1), 32 * num_steps)) for step in range(num_steps)]


def test_it_rises_and_keeps_the_peak():
    assert factors(Schedule.model_validate({"use": "constant", "warmup": "96 tokens"}), 6) == pytest.approx(
        [1 / 3, 2 / 3, 1, 1, 1, 1]
    )


def test_without_a_warmup_every_step_is_at_the_peak():
    assert factors(Schedule.model_validate({"use": "constant", "warmup": 0}), 3) == [1, 1, 1]


def test_a_warmup_longer_than_the_run_is_refused():
    with pytest.raises(ConfigError, match="a stretch of 97 tokens is longer than the run of 96 tokens"):
        factors(Schedule.model_validate({"use": "constant", "warmup": "97 tokens"}), 3)
