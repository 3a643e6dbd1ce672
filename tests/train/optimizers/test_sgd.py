import pytest
import torch
from torch import nn

from whorl.train.optimizers import Optimizer
from whorl.train.weights import Weight


def weights():
    torch.manual_seed(0)
    return [Weight(name, nn.Parameter(torch.randn(5, 3)), "matrix") for name in "ab"]


def give_gradients(weights, step):
    generator = torch.Generator().manual_seed(step)
    for weight in weights:
        weight.tensor.grad = torch.randn(weight.tensor.shape, generator=generator)


def run(weights, stepper, num_steps=12):
    for step in range(num_steps):
        give_gradients(weights, step)
        stepper.step(1 - step / num_steps)


@pytest.mark.parametrize("fields", [{"momentum": 0.9}, {"momentum": 0.7, "nesterov": False}, {"momentum": 0.0}], ids=str)
@pytest.mark.parametrize("cautious_decay", [False, True])
def test_twelve_steps_equal_those_of_torch(fields, cautious_decay):
    """A decay of nothing that is cautious takes the written-out arithmetic, not torch's kernel."""
    ours, theirs = weights(), weights()
    decay = 1e-30 if cautious_decay else 0.0
    written = {"use": "sgd", "rate": 0.05, "decay": decay, "cautious_decay": cautious_decay, **fields}
    run(ours, Optimizer.model_validate(written).build(ours, torch.float32))
    momentum = fields["momentum"]
    nesterov = momentum > 0 and fields.get("nesterov", True)
    oracle = torch.optim.SGD([w.tensor for w in theirs], lr=1.0, momentum=momentum, nesterov=nesterov, foreach=False)
    for step in range(12):
        give_gradients(theirs, step)
        oracle.param_groups[0]["lr"] = 0.05 * (1 - step / 12)
        oracle.step()
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our.tensor, their.tensor, rtol=1e-5, atol=1e-6)  # other orders of rounding


def test_decay_is_a_share_of_the_weight_whatever_the_momentum():
    """Coupled to the gradient it would enter the momentum and act for steps to come."""
    for momentum in (0.0, 0.9):
        (weight, _) = weights()
        before = weight.tensor.detach().clone()
        written = {"use": "sgd", "rate": 0.1, "momentum": momentum, "decay": 0.5}
        stepper = Optimizer.model_validate(written).build([weight], torch.float32)
        for _ in range(4):
            weight.tensor.grad = torch.zeros(5, 3)
            stepper.step(1.0)
        torch.testing.assert_close(weight.tensor.detach(), 0.95**4 * before)


def test_without_momentum_nothing_is_remembered():
    ours = weights()
    stepper = Optimizer.model_validate({"use": "sgd", "momentum": 0}).build(ours, torch.float32)
    run(ours, stepper)
    assert stepper.state() == {}


def test_with_momentum_there_is_one_moment_per_weight():
    ours = weights()
    stepper = Optimizer.model_validate({"use": "sgd"}).build(ours, torch.float32)
    run(ours, stepper)
    assert set(stepper.state()) == {"a.momentum", "b.momentum"}
