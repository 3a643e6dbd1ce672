import pytest

from whorl.train.schedules import Moment, Schedule


def factors(schedule, num_steps):
    return [schedule.factor(Moment(32 * step, 32 * (step + 1), 32 * num_steps)) for step in range(num_steps)]


def test_four_steps_of_half_a_cosine_by_hand():
    cosine = Schedule.model_validate({"use": "cosine", "warmup": 0, "floor": 0})
    assert factors(cosine, 4) == pytest.approx([1, 0.853553, 0.5, 0.146447], abs=1e-6)


def test_warmup_rises_in_equal_parts_and_the_fall_starts_at_the_peak():
    cosine = Schedule.model_validate({"use": "cosine", "warmup": 0.5, "floor": 0.1})
    assert factors(cosine, 8)[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_a_warmup_written_in_tokens_is_the_same_as_its_fraction():
    written = Schedule.model_validate({"use": "cosine", "warmup": "128 tokens"})
    assert factors(written, 8) == factors(Schedule.model_validate({"use": "cosine", "warmup": 0.5}), 8)
