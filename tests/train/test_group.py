import pytest
import torch
from torch import nn

from whorl.train.group import Group, Move, Room, careful
from whorl.train.schedules import Moment, Schedule
from whorl.train.weights import Weight

MIDDLE = Moment(50, 60, 100)


def group(**fields):
    return Group("g", (Weight("w", nn.Parameter(torch.zeros(3)), "matrix"),), 0.1, **fields)


@pytest.mark.parametrize(
    ("course", "pull"),
    [("rate", 0.1 * 0.25), ("peak", 0.1), (Schedule.model_validate({"use": "linear", "warmup": 0}), 0.1 * 0.5)],
)
def test_decay_and_l1_follow_the_rate_or_its_peak_or_a_schedule_of_their_own(course, pull):
    move = group(decay=2.0, l1=3.0, course=course).move(0.25, MIDDLE)
    assert (move.rate, move.decay, move.l1) == pytest.approx((0.025, 2 * pull, 3 * pull))


def test_a_move_by_hand():
    weight, update = torch.tensor([1.0, 1.0, -1.0, 0.1]), torch.tensor([1.0, -1.0, -1.0, 0.0])
    Move(rate=0.5, decay=0.2, l1=0.1, is_cautious=False).apply(weight, update, Room())
    assert weight.tolist() == pytest.approx([0.3 - 0.1, 1.3 - 0.1, -0.3 + 0.1, 0.0])


def test_a_cautious_move_by_hand():
    """The second entry is growing: it does not decay. The last is moved by nothing: it does."""
    weight, update = torch.tensor([1.0, 1.0, -1.0, 1.0]), torch.tensor([1.0, -1.0, -1.0, 0.0])
    Move(rate=0.5, decay=0.2, l1=0.0, is_cautious=True).apply(weight, update, Room())
    assert weight.tolist() == pytest.approx([0.3, 1.5, -0.3, 0.8])


def test_a_careful_update_by_hand():
    update = torch.tensor([1.0, 2.0, -3.0, 4.0])
    careful(update, torch.tensor([5.0, -5.0, -5.0, 0.0]), Room())
    assert update.tolist() == pytest.approx([2.0, 0.0, -6.0, 0.0])  # two of four agree: twice as much


def test_an_update_that_hardly_anything_agrees_with_grows_a_thousandfold_at_most():
    update = torch.ones(10_000)
    gradient = -torch.ones(10_000)
    gradient[0] = 1
    careful(update, gradient, Room())
    assert update.max() == pytest.approx(1000)


def test_room_is_the_same_memory_until_more_is_needed():
    room = Room()
    first = room.like(torch.zeros(3, 4))
    assert room.like(torch.zeros(2)).data_ptr() == first.data_ptr()
    assert room.like(torch.zeros(5, 4)).shape == (5, 4)
