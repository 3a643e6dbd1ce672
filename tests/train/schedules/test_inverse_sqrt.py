import pytest
from pydantic import ValidationError

from whorl.train.schedules import Moment, Schedule


def factors(schedule, num_steps):
    return [schedule.factor(Moment(32 * step, 32 * (step + 1), 32 * num_steps)) for step in range(num_steps)]


def test_four_times_the_warmup_is_half_the_peak():
    found = factors(Schedule.model_validate({"use": "inverse_sqrt", "warmup": "128 tokens"}), 40)
    assert found[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert (found[16], found[36]) == pytest.approx((1 / 2, 1 / 3))


def test_a_longer_run_begins_as_the_shorter_did_when_the_warmup_is_written_in_tokens():
    schedule = Schedule.model_validate({"use": "inverse_sqrt", "warmup": "128 tokens"})
    assert factors(schedule, 400)[:40] == factors(schedule, 40)


def test_it_is_the_schedule_of_the_transformer_paper_up_to_the_peak():
    warmup = 10
    paper = [min(step**-0.5, step * warmup**-1.5) * warmup**0.5 for step in range(1, 101)]  # steps from 1
    found = factors(Schedule.model_validate({"use": "inverse_sqrt", "warmup": warmup * 32 / (100 * 32)}), 100)
    assert found[:warmup] == pytest.approx(paper[:warmup])
    assert found[warmup + 1 :] == pytest.approx(paper[warmup:-1])  # ours takes the rate at the start of a step, theirs the end


@pytest.mark.parametrize("warmup", [0, "0 tokens"])
def test_no_warmup_is_refused(warmup):
    with pytest.raises(ValidationError, match="the fall is measured in warmups"):
        Schedule.model_validate({"use": "inverse_sqrt", "warmup": warmup})
