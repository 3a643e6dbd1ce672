import pytest

from whorl.train.schedules import Moment, Schedule


def factors(schedule, num_steps):
    return [schedule.factor(Moment(32 * step, 32 * (step + 1), 32 * num_steps)) for step in range(num_steps)]


def test_ten_steps_rise_in_two_and_fall_in_eight():
    linear = Schedule.model_validate({"use": "linear", "warmup": 0.2})
    assert factors(linear, 10) == pytest.approx([0.5, 1, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])


def test_it_runs_to_the_floor():
    linear = Schedule.model_validate({"use": "linear", "warmup": 0, "floor": 0.2})
    assert factors(linear, 4) == pytest.approx([1, 0.8, 0.6, 0.4])  # 0.2 would be the fifth
