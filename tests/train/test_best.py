import math

import torch
from torch import nn

from whorl.train.best import Best, best_of, is_spent
from whorl.train.state import WatchPoint


def looks(*values):
    return [WatchPoint(10 * number, value) for number, value in enumerate(values)]


def test_the_best_is_the_lowest_and_the_first_of_equals():
    assert best_of(looks(3.0, 2.0, 2.5, 2.0)) == (10, 2.0)
    assert best_of(looks(math.nan, 2.0)) == (10, 2.0)
    assert best_of(looks(math.nan)) is None
    assert best_of([]) is None


def test_patience_counts_looks_since_the_best_one():
    assert not is_spent(looks(3.0, 2.0, 2.5), 2)
    assert is_spent(looks(3.0, 2.0, 2.5, 2.0), 2)
    assert not is_spent(looks(3.0, 2.0, 2.5, 1.9), 2)
    assert is_spent(looks(2.0, math.nan, math.nan), 2)


def test_the_weights_that_were_taken_come_back_and_outlive_a_restart():
    model = nn.Linear(2, 2)
    wanted = model.weight.detach().clone()
    best = Best()
    best.put(model)  # nothing was taken yet
    best.take(model)
    nn.init.zeros_(model.weight)
    other = Best()
    other.load(best.state())
    other.put(model)
    assert torch.equal(model.weight, wanted)
