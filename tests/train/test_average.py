import pytest
import torch
from pydantic import ValidationError
from torch import nn

from whorl.core.errors import WhorlError
from whorl.train.average import Average, Averaged


def model(value=0.0):
    one = nn.Linear(2, 1, bias=False)
    nn.init.constant_(one.weight, value)
    return one


def take(averaged, own, values, tokens=10):
    for value in values:
        nn.init.constant_(own.weight, value)
        averaged.take_in(tokens)


def test_three_steps_of_decay_a_half_by_hand():
    own = model(99.0)  # the starting weights are no step
    averaged = Averaged(Average(decay=0.5), own)
    take(averaged, own, [1.0, 2.0, 4.0])
    mean = (0.25 * 1 + 0.5 * 2 + 1 * 4) / 1.75
    with averaged.in_place("checkpoint"):
        assert own.weight[0, 0].item() == pytest.approx(mean)
    assert own.weight[0, 0].item() == 4.0


def test_a_half_life_in_tokens_weighs_a_step_twice_as_large_as_two():
    kept = Average.model_validate({"half_life": "100 tokens"}).kept
    assert kept(100) == 0.5
    assert kept(20) == pytest.approx(kept(10) ** 2)


def test_before_the_first_step_the_average_is_the_model_itself():
    own = model(3.0)
    with Averaged(Average(decay=0.9), own).in_place("watch"):
        assert own.weight[0, 0].item() == 3.0


def test_it_stands_in_only_where_the_recipe_says_so():
    own = model()
    averaged = Averaged(Average(decay=0.5, used_for=("watch",)), own)
    take(averaged, own, [1.0, 2.0])
    with averaged.in_place("checkpoint"):
        assert own.weight[0, 0].item() == 2.0
    with averaged.in_place("watch"):
        assert own.weight[0, 0].item() != 2.0


def test_the_own_weights_are_back_after_an_error():
    own = model()
    averaged = Averaged(Average(decay=0.5), own)
    take(averaged, own, [1.0, 2.0])
    with pytest.raises(WhorlError), averaged.in_place("watch"):
        raise WhorlError
    assert own.weight[0, 0].item() == 2.0


def test_going_on_from_its_state_gives_the_same_average_bit_for_bit():
    own, other = model(), model()
    whole = Averaged(Average(decay=0.9), own)
    take(whole, own, [0.1, 0.7, 0.3])
    resumed = Averaged(Average(decay=0.9), other)
    resumed.load({name: tensor.clone() for name, tensor in whole.state().items()})
    take(whole, own, [0.9])
    take(resumed, other, [0.9])
    assert all(torch.equal(tensor, resumed.state()[name]) for name, tensor in whole.state().items())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "exactly one of decay"),
        ({"decay": 0.9, "half_life": "2M tokens"}, "exactly one of decay"),
        ({"half_life": "3 steps"}, "want tokens, like 2M tokens"),
        ({"decay": 1.0}, "less than 1"),
    ],
)
def test_an_average_that_cannot_mean_anything_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        Average.model_validate(fields)
