import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_training import MODEL

from whorl.core.errors import DataError
from whorl.core.seed import Seed
from whorl.model.families import Family
from whorl.model.transformer import Transformer
from whorl.tokens.batch import Batch
from whorl.train.data import to_rows
from whorl.train.loop import Pieces, check_finite, train
from whorl.train.objectives import Objective


class Recorder:
    """A stepper that changes nothing and keeps the gradients it was given."""

    def __init__(self, model):
        self.rates = {"all": 1.0}
        self.model = model
        self.seen = []
        self.factors = []

    def step(self, factor):
        self.factors.append(factor)
        self.seen.append({name: parameter.grad.clone() for name, parameter in self.model.named_parameters()})

    def state(self):
        return {}

    def load(self, state):
        assert not state


@pytest.fixture
def pieces(ground):
    objective = Objective.model_validate({"use": "next_token"})
    material = objective.material(ground.root / "tokens", "train", ground.tokenizer)
    model = Transformer.fresh(Family.model_validate(MODEL).configure(ground.tokenizer.size, 32), Seed(1))
    loader = material.loader(rows=6, width=32, seed=Seed(2))
    return Pieces(
        model=model,
        objective=objective,
        stepper=Recorder(model),
        factor=lambda step: 1 / (1 + step),
        batch_of=lambda step: ragged(loader.batch(step)),
        num_steps=3,
        micro_rows=6,
        clip=1e9,
    )


def ragged(batch):
    """Label counts that differ from row to row: row r keeps every (r + 1)-th target, the last row none."""
    weights = batch.weights.copy()
    for row in range(len(weights)):
        weights[row, np.arange(weights.shape[1]) % (row + 1) != 0] = 0
    weights[-1] = 0
    return replace(batch, weights=weights)


def first_gradient(pieces):
    next(iter(train(pieces, 0)))
    return pieces.stepper.seen[0]


@pytest.mark.parametrize("micro_rows", [1, 2, 4, 5])
def test_gradients_accumulated_over_ragged_micro_batches_are_those_of_the_whole_step(pieces, micro_rows):
    whole = first_gradient(pieces)
    parts = first_gradient(replace(pieces, micro_rows=micro_rows, stepper=Recorder(pieces.model)))
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, rtol=1e-5, atol=1e-7, msg=name)


def test_the_gradient_is_that_of_the_mean_over_all_targets_of_the_step(pieces):
    batch = pieces.batch_of(0)
    mean = pieces.objective.loss(pieces.model, to_rows(batch, torch.device("cpu"))) / np.count_nonzero(batch.weights)
    mean.backward()
    by_hand = {name: parameter.grad.clone() for name, parameter in pieces.model.named_parameters()}
    pieces.model.zero_grad(set_to_none=True)
    for name, gradient in first_gradient(pieces).items():
        torch.testing.assert_close(gradient, by_hand[name], rtol=1e-6, atol=1e-9, msg=name)


def test_steps_come_in_order_with_their_factor_and_their_sum(pieces):
    steps = list(train(pieces, 1))
    assert [step.number for step in steps] == [2, 3]
    assert pieces.stepper.factors == [1 / 2, 1 / 3]
    assert [step.num_targets for step in steps] == [pieces.batch_of(1).num_targets, pieces.batch_of(2).num_targets]
    for step in steps:
        assert float(step.nats) / step.num_targets == pytest.approx(math.log(300), rel=0.1)  # nothing was learnt: a guess


def test_a_gradient_longer_than_the_clip_is_scaled_to_it_and_reported_unscaled(pieces):
    free = next(iter(train(pieces, 0)))
    clipped = next(iter(train(replace(pieces, clip=0.01), 0)))
    norm = torch.stack([gradient.square().sum() for gradient in pieces.stepper.seen[1].values()]).sum().sqrt()
    assert float(free.grad_norm) == float(clipped.grad_norm) > 0.01
    assert float(norm) == pytest.approx(0.01, rel=1e-4)


def test_a_step_without_targets_has_a_gradient_of_zero(pieces):
    def empty(step):
        batch = pieces.batch_of(step)
        return replace(batch, weights=np.zeros_like(batch.weights))

    step = next(iter(train(replace(pieces, batch_of=empty), 0)))
    assert (float(step.nats), step.num_targets) == (0.0, 0)
    assert all(bool((gradient == 0).all()) for gradient in pieces.stepper.seen[0].values())


def test_a_loss_that_is_not_finite_names_its_step_and_its_documents(pieces):
    steps = list(train(pieces, 0))
    broken = replace(steps[1], nats=torch.tensor(float("nan")))
    check_finite(steps)
    with pytest.raises(DataError, match=r"step 2, documents doc-\d+, .*nan"):
        check_finite([steps[0], broken, steps[2]])


def test_a_gradient_that_is_not_finite_is_found_though_the_loss_is(pieces):
    (step, *_) = train(pieces, 0)
    with pytest.raises(DataError, match="gradient norm inf"):
        check_finite([replace(step, grad_norm=torch.tensor(float("inf")))])


def test_a_fault_of_the_data_reaches_who_trains(pieces):
    def broken(step):
        raise DataError(f"no batch {step}")

    with pytest.raises(DataError, match="no batch 0"):
        list(train(replace(pieces, batch_of=broken), 0))


def test_batches_are_asked_for_once_each_and_at_most_one_ahead(pieces):
    asked = []

    def noted(step) -> Batch:
        asked.append(step)
        return pieces.batch_of(step)

    for step in train(replace(pieces, batch_of=noted), 0):
        assert len(asked) <= step.number + 1
    assert asked == [0, 1, 2]
