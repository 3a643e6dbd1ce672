"""Laws of every optimizer behind the door."""

import pytest
import torch
from torch import nn

from whorl.core.errors import ArtifactError
from whorl.train.optimizers import Optimizer
from whorl.train.weights import Weight

NAMES = Optimizer.names()
DTYPES = (torch.float32, torch.bfloat16)
SHAPES = {"matrix": (6, 10), "embedding": (8, 4), "head": (8, 4), "vector": (5,)}


def drawn(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [Weight(role, nn.Parameter(0.1 * torch.randn(shape, generator=generator)), role) for role, shape in SHAPES.items()]


def loss_of(weights):
    """Squared distance from zeros; its gradient is left on the weights."""
    loss = torch.stack([weight.tensor.square().sum() for weight in weights]).sum()
    for weight in weights:
        weight.tensor.grad = None
    loss.backward()
    return float(loss.detach())


def descend(weights, stepper, steps):
    for step in steps:
        loss_of(weights)
        stepper.step(1 / (1 + 0.1 * step))


def build(name, weights, dtype):
    return Optimizer.model_validate({"use": name, "decay": 0.0}).build(weights, dtype)


def copied(state):
    return {name: tensor.clone() for name, tensor in state.items()}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_it_descends_a_quadratic(name, dtype):
    weights = drawn()
    stepper = build(name, weights, dtype)
    before = loss_of(weights)
    for step in range(1000):
        loss_of(weights)
        stepper.step(1 / (1 + 0.01 * step))
    assert loss_of(weights) < before / 100


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_resuming_equals_no_interruption_bit_for_bit(name, dtype):
    whole, first = drawn(), drawn()
    descend(whole, build(name, whole, dtype), range(9))
    stepper = build(name, first, dtype)
    descend(first, stepper, range(4))
    second = drawn(seed=1)
    for old, new in zip(first, second, strict=True):
        new.tensor.data.copy_(old.tensor.data)
    resumed = build(name, second, dtype)
    resumed.load(copied(stepper.state()))
    descend(second, resumed, range(4, 9))
    assert all(torch.equal(a.tensor, b.tensor) for a, b in zip(whole, second, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_a_factor_of_zero_changes_no_weight(name):
    weights = drawn()
    loss_of(weights)
    Optimizer.model_validate({"use": name}).build(weights, torch.float32).step(0.0)
    assert all(torch.equal(a.tensor, b.tensor) for a, b in zip(weights, drawn(), strict=True))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", ["missing", "spare", "shape"])
def test_the_state_of_another_model_is_refused_by_name(name, fault):
    weights = drawn()
    stepper = build(name, weights, torch.float32)
    descend(weights, stepper, range(2))
    state = copied(stepper.state())
    victim = max(key for key in state if key.startswith("matrix"))
    if fault == "missing":
        del state[victim]
    elif fault == "spare":
        victim = victim.replace("matrix", "matrix2")
        state[victim] = torch.zeros(2)
    else:
        state[victim] = torch.zeros(3, 3)
    with pytest.raises(ArtifactError, match=victim):
        build(name, drawn(), torch.float32).load(state)


@pytest.mark.parametrize("name", NAMES)
def test_a_weight_the_loss_does_not_reach_is_our_own_fault(name):
    weights = drawn()
    loss_of(weights)
    weights[0].tensor.grad = None
    with pytest.raises(AssertionError, match="matrix has no gradient"):
        build(name, weights, torch.float32).step(1.0)
