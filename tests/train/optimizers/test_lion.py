import pytest
import torch
from torch import nn

from whorl.train.optimizers import Optimizer
from whorl.train.weights import Weight


def one(values, role="matrix"):
    return Weight("w", nn.Parameter(torch.tensor(values)), role)


def build(weight, **fields):
    return Optimizer.model_validate({"use": "lion", **fields}).build([weight], torch.float32)


def sign(value):
    return (value > 0) - (value < 0)


def test_thirty_steps_equal_the_algorithm_of_the_paper_entry_by_entry():
    weight = one([0.5, -1.0, 2.0, 0.0])
    stepper = build(weight, rate=0.01, betas=(0.8, 0.95), decay=0.3)
    by_hand, momenta = weight.tensor.tolist(), [0.0] * 4
    generator = torch.Generator().manual_seed(0)
    for step in range(30):
        weight.tensor.grad = torch.randn(4, generator=generator)
        stepper.step(1 - step / 30)
        rate = 0.01 * (1 - step / 30)
        for i, gradient in enumerate(weight.tensor.grad.tolist()):
            update = sign(0.8 * momenta[i] + 0.2 * gradient)
            by_hand[i] -= rate * (update + 0.3 * by_hand[i])
            momenta[i] = 0.95 * momenta[i] + 0.05 * gradient
    assert weight.tensor.tolist() == pytest.approx(by_hand, rel=1e-5)
    assert stepper.state()["w.momentum"].tolist() == pytest.approx(momenta, rel=1e-5)


def test_every_entry_that_anything_pulls_moves_by_exactly_the_rate():
    weight = one([0.0, 0.0, 0.0])
    weight.tensor.grad = torch.tensor([1e-20, -3e7, 0.0])
    build(weight, rate=0.25).step(0.5)
    assert weight.tensor.tolist() == [-0.125, 0.125, 0.0]


def test_a_cautious_update_keeps_what_the_gradient_agrees_with_and_makes_up_in_size():
    weight = one([0.0, 0.0, 0.0, 0.0])
    stepper = build(weight, rate=0.1, betas=(0.9, 0.5), decay=0, cautious=True)
    weight.tensor.grad = torch.ones(4)
    stepper.step(1.0)
    weight.tensor.grad = torch.tensor([1.0, -0.1, -0.1, -0.1])  # momentum 0.5 outvotes three of four: they stay
    stepper.step(1.0)
    assert weight.tensor.tolist() == pytest.approx([-0.1 - 0.1 * 4, -0.1, -0.1, -0.1])


def test_there_is_one_moment_per_weight():
    weight = one([1.0, 2.0])
    assert set(build(weight).state()) == {"w.momentum"}
