"""Each hand-written pass against the plain formula, value and gradients."""

import pytest
import torch
from torch.nn import functional

from whorl.model.kernels import squared_relu, turned_heads
from whorl.model.rope import rotary_table, turn_at
from whorl.model.turns import HeadNorm

EPS = 1e-6


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def assert_same_function(ours, plain, leaves):
    found, wanted = ours(*leaves), plain(*leaves)
    found, wanted = (part if isinstance(part, tuple) else (part,) for part in (found, wanted))
    slopes = [torch.randn(part.shape, generator=torch.Generator().manual_seed(9)) for part in wanted]
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, atol=2e-6, rtol=2e-6)  # a few roundings of float32
    grads = [torch.autograd.grad(out, leaves, slopes) for out in (found, wanted)]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=2e-5)


def test_squared_relu_equals_its_formula():
    assert_same_function(squared_relu, lambda x: functional.relu(x) ** 2, [drawn(4, 7)])


def plain_heads(fused, weight, turn, num_kv):
    """Norm, turn and split written out with autograd's own operations."""
    num_q = fused.shape[2] - 2 * num_kv
    turning, values = fused[:, :, : num_q + num_kv], fused[:, :, num_q + num_kv :]
    if weight is not None:
        turning = functional.rms_norm(turning, (fused.shape[-1],), None, EPS) * weight
    low, high = turning.chunk(2, dim=-1)
    cos, sin = turn.cos[..., : low.shape[-1]], turn.sin[..., low.shape[-1] :]
    turned = torch.cat([low * cos - high * sin, high * cos + low * sin], dim=-1)
    return turned[:, :, :num_q].transpose(1, 2), turned[:, :, num_q:].transpose(1, 2), values.transpose(1, 2)


@pytest.mark.parametrize("has_norm", [True, False])
@pytest.mark.parametrize(("num_q", "num_kv"), [(1, 1), (4, 2), (3, 1)])
def test_turned_heads_equal_the_plain_formula(has_norm, num_q, num_kv):
    positions = torch.tensor([[0, 1, 2, 0, 1], [3, 0, 1, 2, 3]])
    turn = turn_at(rotary_table(4, 6, theta=100.0), positions, heads=num_q + num_kv, dtype=torch.float32)
    fused = drawn(2, 5, num_q + 2 * num_kv, 6)
    leaves = [fused, drawn(6, seed=3), drawn(6, seed=4)] if has_norm else [fused]

    def ours(x, *weights):
        return turned_heads(x, turn, num_kv=num_kv, norm=HeadNorm(*weights, EPS) if weights else None)

    def plain(x, *weights):
        weight = torch.cat([weights[0].expand(num_q, -1), weights[1].expand(num_kv, -1)]) if weights else None
        return plain_heads(x, weight, turn, num_kv)

    assert_same_function(ours, plain, leaves)


def test_a_turn_keeps_lengths_and_depends_on_distance_only():
    table = rotary_table(32, 8, theta=10_000.0)
    x = drawn(1, 32, 3, 8).detach()
    x[:] = x[:, :1]  # the same query and key at every position
    turn = turn_at(table, torch.arange(32).unsqueeze(0), heads=2, dtype=torch.float32)
    q, k, _ = turned_heads(x, turn, num_kv=1, norm=None)
    torch.testing.assert_close(q.norm(dim=-1), q.norm(dim=-1)[:, :, :1].expand(-1, -1, 32))
    scores = (q @ k.transpose(2, 3))[0, 0]
    torch.testing.assert_close(scores[10:20, 5:15], scores[15:25, 10:20], atol=1e-5, rtol=1e-5)
