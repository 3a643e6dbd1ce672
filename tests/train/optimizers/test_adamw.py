import pytest
import torch
from torch import nn

from whorl.train.optimizers import Optimizer
from whorl.train.weights import Weight


def weights():
    torch.manual_seed(0)
    tensors = {"matrix": torch.randn(6, 4), "embedding": torch.randn(9, 4), "head": torch.randn(9, 4), "vector": torch.randn(4)}
    return [Weight(role, nn.Parameter(tensor), role) for role, tensor in tensors.items()]


def give_gradients(weights, step):
    generator = torch.Generator().manual_seed(step)
    for weight in weights:
        weight.tensor.grad = torch.randn(weight.tensor.shape, generator=generator)


def test_twenty_steps_equal_those_of_torch():
    ours, theirs = weights(), weights()
    adamw = Optimizer.model_validate({"use": "adamw", "rate": 0.01, "decay": 0.3, "betas": (0.8, 0.97)})
    stepper = adamw.build(ours, torch.float32)
    groups = [
        {"params": [w.tensor for w in theirs if w.role in ("matrix", "head")], "weight_decay": 0.3},
        {"params": [w.tensor for w in theirs if w.role in ("embedding", "vector")], "weight_decay": 0.0},
    ]
    oracle = torch.optim.AdamW(groups, lr=0.01, betas=(0.8, 0.97), eps=1e-8, fused=False, foreach=False)
    for step in range(20):
        give_gradients(ours, step)
        give_gradients(theirs, step)
        factor = 1 - step / 20
        for group in oracle.param_groups:
            group["lr"] = 0.01 * factor
        stepper.step(factor)
        oracle.step()
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our.tensor, their.tensor, rtol=0, atol=2e-6)  # the fused kernel rounds in another order


@pytest.mark.parametrize("role", ["embedding", "vector"])
def test_norms_and_embeddings_do_not_decay_unless_told_to(role):
    for decayed, has_shrunk in ((("matrix",), False), ((role,), True)):
        weight = Weight("w", nn.Parameter(torch.ones(3)), role)
        weight.tensor.grad = torch.zeros(3)
        Optimizer.model_validate({"use": "adamw", "decayed": decayed}).build([weight], torch.float32).step(1.0)
        assert bool((weight.tensor < 1).all()) is has_shrunk


def test_the_written_out_arithmetic_stays_beside_the_kernel_and_takes_over_its_state():
    """Caution without anything to be cautious about: decays of next to nothing, but directions are needed."""
    kernel, written = weights(), weights()
    fields = {"use": "adamw", "rate": 0.01, "decay": 0.0}
    steppers = [
        Optimizer.model_validate(fields).build(kernel, torch.float32),
        Optimizer.model_validate({**fields, "decay": 1e-30, "cautious_decay": True}).build(written, torch.float32),
    ]
    assert type(steppers[0]) is not type(steppers[1])
    for step in range(20):
        for each, stepper in zip((kernel, written), steppers, strict=True):
            give_gradients(each, step)
            stepper.step(1 - step / 20)
    for ours, theirs in zip(written, kernel, strict=True):
        torch.testing.assert_close(ours.tensor, theirs.tensor, rtol=0, atol=2e-6)
    steppers[1].load({name: tensor.clone() for name, tensor in steppers[0].state().items()})
    assert all(torch.equal(tensor, steppers[0].state()[name]) for name, tensor in steppers[1].state().items())


def test_a_cautious_update_keeps_what_the_gradient_agrees_with_and_makes_up_in_size():
    """By hand, betas (0.5, 0.5): means 0.5 then 0.25 + 0.5 g, squares 0.5 then 0.25 + 0.5 g^2, both over 1 - 0.5^2."""
    weight = Weight("w", nn.Parameter(torch.zeros(2)), "matrix")
    fields = {"use": "adamw", "rate": 0.1, "betas": (0.5, 0.5), "decay": 0, "cautious": True}
    stepper = Optimizer.model_validate(fields).build([weight], torch.float32)
    weight.tensor.grad = torch.tensor([1.0, 1.0])
    stepper.step(1.0)
    assert weight.tensor.tolist() == pytest.approx([-0.1, -0.1])
    weight.tensor.grad = torch.tensor([1.0, -0.1])  # the second mean is still 0.2 / 0.75: against its gradient, so it stays
    stepper.step(1.0)
    assert weight.tensor.tolist() == pytest.approx([-0.1 - 0.1 * 2, -0.1])


def test_roles_move_by_their_own_rates():
    ours = weights()
    before = [weight.tensor.detach().clone() for weight in ours]
    fields = {"use": "adamw", "rate": 0.01, "rates": {"embedding": 0.2, "head": 0.05}, "decay": 0}
    stepper = Optimizer.model_validate(fields).build(ours, torch.float32)
    give_gradients(ours, 0)
    stepper.step(0.5)
    moved = {w.role: float((w.tensor.detach() - old).abs().mean()) for w, old in zip(ours, before, strict=True)}
    expected = {"matrix": 0.005, "embedding": 0.1, "head": 0.025, "vector": 0.005}  # Adam's first step is the rate
    assert moved == pytest.approx(expected, rel=1e-3)
    assert stepper.rates == {"adamw": 0.01, "embedding": 0.2, "head": 0.05}
