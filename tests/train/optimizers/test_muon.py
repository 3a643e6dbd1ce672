import math

import pytest
import torch
from torch import nn

from whorl.train.optimizers import Optimizer, muon
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


def ten_steps_beside_torch(dtype, scale="original"):
    ours, theirs = matrices(), matrices()
    stepper = build(ours, dtype, rate=0.02, momentum=0.9, decay=0.1, scale=scale)
    oracle = torch.optim.Muon([w.tensor for w in theirs], lr=0.02, momentum=0.9, weight_decay=0.1, adjust_lr_fn=scale)
    for step in range(10):
        give_gradients(ours, step)
        give_gradients(theirs, step)
        stepper.step(1.0)
        oracle.step()
    return [(our.tensor, their.tensor) for our, their in zip(ours, theirs, strict=True)]


@pytest.mark.parametrize("scale", ["original", "match_rms_adamw"])
def test_in_float32_ten_steps_equal_those_of_torch(monkeypatch, scale):
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self)  # torch's own Newton-Schulz has no other precision
    for our, their in ten_steps_beside_torch(torch.float32, scale):
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


def test_the_matrices_of_a_stack_are_updated_as_if_each_stood_alone():
    """Experts (e r c): flattened to one map (e r, c) they would share their singular values."""
    torch.manual_seed(0)
    experts = torch.randn(4, 9, 5)
    stack = Weight("experts", nn.Parameter(experts.clone()), "matrix")
    alone = [Weight(f"expert{i}", nn.Parameter(expert.clone()), "matrix") for i, expert in enumerate(experts)]
    fields = {"decay": 0.1, "row_beta": 0.9}
    steppers = [build([stack], **fields), build(alone, **fields)]
    for step in range(5):
        give_gradients([stack], step)
        for weight, gradient in zip(alone, stack.tensor.grad, strict=True):
            weight.tensor.grad = gradient.clone()
        for stepper in steppers:
            stepper.step(1.0)
    together = torch.stack([weight.tensor.detach() for weight in alone])
    torch.testing.assert_close(stack.tensor.detach(), together, rtol=0, atol=1e-6)
    assert steppers[0].state()["experts.momentum"].shape == (4, 5, 9)  # lying


def test_a_batch_too_large_to_orthogonalise_at_once_is_split_without_a_trace(monkeypatch):
    found = []
    for most in (2**24, 60, 1):
        monkeypatch.setattr(muon, "_MOST_AT_ONCE", most)
        weights = matrices()
        stepper = build(weights)
        for step in range(3):
            give_gradients(weights, step)
            stepper.step(1.0)
        found.append([weight.tensor.detach().clone() for weight in weights])
    for others in found[1:]:
        for whole, split in zip(found[0], others, strict=True):
            torch.testing.assert_close(whole, split, rtol=0, atol=1e-6)  # batched products sum in another order


def orthogonal_by_svd(matrix):
    """The same quintic on singular values, without a product of matrices."""
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    values = values / values.square().sum().sqrt()
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return left @ values.diag() @ right


@pytest.mark.parametrize("shape", [(9, 4), (4, 9)])
def test_evened_rows_are_those_of_normuon(shape):
    """https://arxiv.org/abs/2510.05491, algorithm 1, with the length of the update kept as its authors' code does."""
    torch.manual_seed(1)
    weight = Weight("w", nn.Parameter(torch.randn(shape)), "matrix")
    stepper = build([weight], rate=0.02, momentum=0.9, row_beta=0.8)
    by_hand = weight.tensor.detach().double()
    momentum, squares = torch.zeros(shape).double(), torch.zeros(shape[0], 1).double()
    for step in range(6):
        give_gradients([weight], step)
        gradient = weight.tensor.grad.double()
        momentum = 0.9 * momentum + 0.1 * gradient
        update = orthogonal_by_svd(0.1 * gradient + 0.9 * momentum)
        squares = 0.8 * squares + 0.2 * (update**2).mean(dim=1, keepdim=True)
        even = update / squares.sqrt()
        even *= update.norm() / even.norm()
        by_hand -= 0.02 * math.sqrt(max(1, shape[0] / shape[1])) * even
        stepper.step(1.0)
    torch.testing.assert_close(weight.tensor.detach().double(), by_hand, rtol=0, atol=2e-6)
    assert stepper.state()["w.row_squares"].shape == (shape[0], 1)


def test_a_cautious_update_keeps_what_the_gradient_agrees_with_and_makes_up_in_size():
    plain, cautious = ([Weight("w", nn.Parameter(torch.zeros(6, 4)), "matrix")] for _ in range(2))
    for weights, fields in ((plain, {}), (cautious, {"cautious": True})):
        stepper = build(weights, rate=0.1, **fields)
        give_gradients(weights, 0)
        stepper.step(1.0)
    update, gradient = plain[0].tensor.detach(), plain[0].tensor.grad
    agrees = -update * gradient > 0
    assert 0 < agrees.float().mean() < 1
    expected = torch.where(agrees, update / agrees.float().mean(), 0)
    torch.testing.assert_close(cautious[0].tensor.detach(), expected, rtol=1e-5, atol=1e-8)


def test_other_roles_may_decay_at_their_own_rate():
    weights = [Weight(role, nn.Parameter(torch.ones(5, 3)), role) for role in ("matrix", "head", "embedding")]
    for weight in weights:
        weight.tensor.grad = torch.zeros(5, 3)
    build(weights, rate=0.1, adam_rate=0.2, decay=0.5, decayed=["matrix", "head"]).step(1.0)
    kept = [float(weight.tensor.detach().mean()) for weight in weights]
    assert kept == pytest.approx([1 - 0.1 * 0.5, 1 - 0.2 * 0.5, 1.0])


def test_the_state_holds_one_momentum_a_matrix_and_adams_for_the_rest():
    weights = [Weight(role, nn.Parameter(torch.ones(5, 3)), role) for role in ("matrix", "head")]
    give_gradients(weights, 0)
    stepper = build(weights)
    stepper.step(1.0)
    assert set(stepper.state()) == {"matrix.momentum", "head.exp_avg", "head.exp_avg_sq", "head.step"}
    assert stepper.rates == {"muon": 0.03, "adam": 0.006}
