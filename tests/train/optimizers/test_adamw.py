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
