import math

import pytest
import torch
from torch import nn

from whorl.train.optimizers import Optimizer
from whorl.train.weights import Weight

SHAPES = {"tall": (12, 5), "tall2": (12, 5), "wide": (5, 12), "square": (7, 7), "lying_alike": (5, 12)}


def matrices():
    torch.manual_seed(0)
    return [Weight(name, nn.Parameter(torch.randn(shape)), "matrix") for name, shape in SHAPES.items()]


def give_gradients(weights, step):
    generator = torch.Generator().manual_seed(step)
    for weight in weights:
        weight.tensor.grad = torch.randn(weight.tensor.shape, generator=generator)


def build(weights, dtype=torch.float32, **fields):
    return Optimizer.model_validate({"use": "muon", **fields}).build(weights, dtype)


def ten_steps_beside_torch(dtype):
    ours, theirs = matrices(), matrices()
    stepper = build(ours, dtype, rate=0.02, momentum=0.9, decay=0.1)
    oracle = torch.optim.Muon([w.tensor for w in theirs], lr=0.02, momentum=0.9, weight_decay=0.1, adjust_lr_fn="original")
    for step in range(10):
        give_gradients(ours, step)
        give_gradients(theirs, step)
        stepper.step(1.0)
        oracle.step()
    return [(our.tensor, their.tensor) for our, their in zip(ours, theirs, strict=True)]


def test_in_float32_ten_steps_equal_those_of_torch(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self)  # torch's own Newton-Schulz has no other precision
    for our, their in ten_steps_beside_torch(torch.float32):
        torch.testing.assert_close(our, their, rtol=0, atol=1e-5)  # batched products sum in another order


def test_in_bfloat16_ten_steps_stay_beside_those_of_torch():
    for our, their in ten_steps_beside_torch(torch.bfloat16):
        torch.testing.assert_close(our, their, rtol=0, atol=0.02)  # a tenth of the 0.2 that ten steps move at most


@pytest.mark.parametrize("shape", [(40, 16), (16, 40), (24, 24)])
def test_the_first_update_has_singular_values_near_the_rate_times_the_scale(shape):
    weight = Weight("w", nn.Parameter(torch.zeros(shape)), "matrix")
    give_gradients([weight], 1)
    build([weight], rate=0.1).step(1.0)
    scale = 0.1 * math.sqrt(max(1, shape[0] / shape[1]))
    values = torch.linalg.svdvals(weight.tensor.detach()) / scale
    assert values.max() < 1.3
    assert values.min() > 0.3  # the smallest of a square random matrix is not lifted all the way in five rounds


def test_a_gradient_of_zero_moves_nothing():
    weight = Weight("w", nn.Parameter(torch.ones(4, 6)), "matrix")
    weight.tensor.grad = torch.zeros(4, 6)
    build([weight]).step(1.0)
    assert torch.equal(weight.tensor.detach(), torch.ones(4, 6))


def test_embeddings_head_and_norms_go_to_adam():
    torch.manual_seed(0)
    roles = ("embedding", "head", "vector")
    ours = [Weight(role, nn.Parameter(torch.zeros(5, 3)), role) for role in roles]
    give_gradients(ours, 0)
    signs = [weight.tensor.grad.sign() for weight in ours]
    build(ours, adam_rate=0.5).step(1.0)
    for weight, sign in zip(ours, signs, strict=True):
        torch.testing.assert_close(weight.tensor.detach(), -0.5 * sign)  # Adam's first step is the rate, by sign
