import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from toy_training import MODEL

from whorl.core.errors import DataError
from whorl.core.seed import Seed
from whorl.model.families import Family
from whorl.model.transformer import Transformer
from whorl.tokens.batch import Batch
from whorl.train.data import to_rows
from whorl.train.guard import Guard, Sentry
from whorl.train.loop import Pieces, check_finite, train
from whorl.train.objectives import Objective
from whorl.train.optimizers import Optimizer
from whorl.train.scaler import LossScale
from whorl.train.schedules import Moment
from whorl.train.weights import weights_of


class Recorder:
    """A stepper that changes nothing and keeps the gradients it was given, shrunk as it was told."""

    def __init__(self, model):
        self.rates = {"all": 1.0}
        self.model = model
        self.seen = []
        self.factors = []
        self.moments = []
        self.shrinks = []

    def step(self, factor, moment=None, *, shrink=None):
        self.factors.append(factor)
        self.moments.append(moment)
        self.shrinks.append(shrink)
        times = 1.0 if shrink is None else shrink
        self.seen.append({name: times * parameter.grad for name, parameter in self.model.named_parameters()})

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
        moment_of=lambda step: Moment(step * 192, (step + 1) * 192, 3 * 192),
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


@pytest.mark.parametrize("micro_rows", [1, 2, 3, 4, 5])
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
    assert pieces.stepper.moments == [Moment(192, 384, 576), Moment(384, 576, 576)]
    assert [step.num_targets for step in steps] == [pieces.batch_of(1).num_targets, pieces.batch_of(2).num_targets]
    for step in steps:
        assert float(step.nats) / step.num_targets == pytest.approx(math.log(300), rel=0.1)  # nothing was learnt: a guess


def test_a_gradient_longer_than_the_clip_is_scaled_to_it_and_reported_unscaled(pieces):
    free = next(iter(train(pieces, 0)))
    clipped = next(iter(train(replace(pieces, clip=0.01), 0)))
    norm = torch.stack([gradient.square().sum() for gradient in pieces.stepper.seen[1].values()]).sum().sqrt()
    assert float(free.grad_norm) == float(clipped.grad_norm) > 0.01
    assert float(norm) == pytest.approx(0.01, rel=1e-4)


def test_a_gradient_shorter_than_the_clip_is_not_multiplied_by_anything(pieces):
    list(train(pieces, 0))
    assert pieces.stepper.shrinks == [None, None, None]


def test_a_clipped_step_of_an_optimizer_is_that_of_the_gradient_clipped_by_torch(pieces):
    ours, theirs = pieces.model, deepcopy(pieces.model)
    rate = {"use": "sgd", "rate": 0.5, "momentum": 0.0}
    stepper = Optimizer.model_validate(rate).build(weights_of(ours), torch.float32)
    next(iter(train(replace(pieces, stepper=stepper, clip=0.3), 0)))
    batch = pieces.batch_of(0)
    (pieces.objective.loss(theirs.train(), to_rows(batch, torch.device("cpu"))) / batch.num_targets).backward()
    assert nn.utils.clip_grad_norm_(theirs.parameters(), 0.3) > 0.3
    for our, their in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(our, their - 0.5 * their.grad, rtol=1e-6, atol=1e-7)


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


def guarded(pieces):
    sentry = Sentry(Guard(), torch.device("cpu"))
    return replace(pieces, sentry=sentry, stepper=Recorder(pieces.model))


def with_second_step_broken(pieces):
    def broken(step):
        batch = pieces.batch_of(step)
        return replace(batch, weights=batch.weights * np.float32(math.nan)) if step == 1 else batch

    return replace(pieces, batch_of=broken)


def test_a_step_that_the_sentry_stops_never_reaches_the_stepper(pieces):
    pieces = guarded(with_second_step_broken(pieces))
    steps = list(train(pieces, 0))
    assert [step.finding.is_taken for step in steps] == [True, False, True]
    assert pieces.stepper.factors == [1.0, 1 / 3]
    assert [bool(step.finding.verdict.is_good) for step in steps] == [True, False, True]
    assert all(parameter.grad is None for parameter in pieces.model.parameters())


def test_where_nobody_waits_a_bad_step_reaches_the_stepper_as_a_gradient_of_zero(pieces):
    pieces = guarded(with_second_step_broken(pieces))
    pieces.sentry._is_read_at_once = False  # as on a GPU
    steps = list(train(pieces, 0))
    assert [step.finding.is_taken for step in steps] == [True, True, True]
    assert all(bool((gradient == 0).all()) for gradient in pieces.stepper.seen[1].values())
    assert any(bool((gradient != 0).any()) for gradient in pieces.stepper.seen[2].values())


def test_a_scaled_loss_gives_the_gradient_of_an_unscaled_one(pieces):
    plain = first_gradient(pieces)
    scaled = first_gradient(replace(pieces, scaler=LossScale(is_dynamic=True), stepper=Recorder(pieces.model)))
    assert all(torch.equal(scaled[name], gradient) for name, gradient in plain.items())  # powers of two round nothing


def test_a_gradient_that_overflows_is_left_out_and_shrinks_the_scale(pieces):
    pieces = guarded(replace(pieces, scaler=LossScale(is_dynamic=True)))
    pieces.scaler.scale = 1e38  # times a loss of thousands: more than float32 holds
    first, *_ = train(pieces, 0)
    assert (first.finding.is_taken, first.finding.is_overflow, first.finding.verdict) == (False, True, None)
    assert pieces.scaler.scale == 1e38 / 8  # three steps, all of them too large


def test_draws_of_a_step_come_from_its_seed_alone(pieces):
    drawn = []

    class Drawing(type(pieces.objective)):
        def loss(self, model, rows):
            drawn.append(float(torch.rand(())))
            return super().loss(model, rows)

    whole = replace(pieces, objective=Drawing(), seed_of=lambda step: 7 + step)
    list(train(whole, 0))
    in_order = drawn.copy()
    torch.manual_seed(1)
    drawn.clear()
    list(train(whole, 1))
    assert drawn == in_order[1:]
    assert len(set(in_order)) == 3


@pytest.fixture
def experts(pieces, ground):
    """The same run of a mixture of experts balanced by a bias."""
    shape = {**MODEL, "use": "qwen3_moe", "experts": 4, "experts_per_token": 2, "expert_width": 32}
    shape.pop("activation")
    config = Family.model_validate(shape).configure(ground.tokenizer.size, 32)
    model = Transformer.fresh(config.model_copy(update={"balance": "bias", "balance_weight": 0.125}), Seed(1))
    return replace(pieces, model=model, stepper=Recorder(model))


def biases(pieces):
    return torch.stack([block.mlp.router.bias for block in pieces.model.blocks]).clone()


@pytest.mark.parametrize("micro_rows", [1, 4])
def test_experts_are_balanced_once_a_step_whatever_goes_through_the_model_at_once(experts, micro_rows):
    next(iter(train(replace(experts, micro_rows=micro_rows), 0)))
    moved = biases(experts)
    assert set(moved.abs().flatten().tolist()) <= {0.0, 0.125}
    assert bool((moved != 0).any())
    for router in [block.mlp.router for block in experts.model.blocks]:
        router.bias.zero_()
    next(iter(train(experts, 0)))
    assert torch.equal(biases(experts), moved)


def test_a_step_that_is_left_out_balances_nothing(experts):
    kept = [biases(experts) for _ in train(guarded(with_second_step_broken(experts)), 0)]
    assert torch.equal(kept[0], kept[1])
    assert not torch.equal(kept[1], kept[2])


def test_the_loss_of_routers_is_a_mean_over_the_tokens_of_the_step_and_is_not_in_the_told_loss(pieces, ground):
    shape = {**MODEL, "use": "qwen3_moe", "experts": 4, "experts_per_token": 2, "expert_width": 32, "router_z": 0.5}
    shape.pop("activation")
    model = Transformer.fresh(Family.model_validate(shape).configure(ground.tokenizer.size, 32), Seed(1))
    seen = {}
    for micro_rows in (6, 1):
        run = replace(pieces, model=model, stepper=Recorder(model), micro_rows=micro_rows)
        told = float(next(iter(train(run, 0))).nats)
        seen[micro_rows] = run.stepper.seen[0]
    assert told == pytest.approx(float(pieces.objective.loss(model, to_rows(pieces.batch_of(0), torch.device("cpu"))).detach()))
    # The squared log-sum of router scores is a mean over tokens, so pieces of a step sum to the step; the balancing loss, a
    # product of two such means, only nearly does.
    for name, gradient in seen[6].items():
        assert float((seen[1][name] - gradient).abs().max()) <= 0.05 * float(gradient.abs().max()), name
