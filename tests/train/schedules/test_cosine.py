import pytest

from whorl.train.schedules import Schedule


def test_four_steps_of_half_a_cosine_by_hand():
    cosine = Schedule.model_validate({"use": "cosine", "warmup": 0, "floor": 0})
    assert [cosine.factor(step, 4) for step in range(4)] == pytest.approx([1, 0.853553, 0.5, 0.146447], abs=1e-6)


def test_warmup_rises_in_equal_parts_and_the_fall_starts_at_the_peak():
    cosine = Schedule.model_validate({"use": "cosine", "warmup": 0.5, "floor": 0.1})
    assert [cosine.factor(step, 8) for step in range(5)] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
