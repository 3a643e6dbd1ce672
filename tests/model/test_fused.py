"""Each one-pass loop in bfloat16 against the plain formula in float32, value and gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from toy_tensors import BF16, ROUNDING, assert_near, drawn, exact_gradients

from whorl.model import fused, kernels, norms
from whorl.model.rope import rotary_table, turn_at
from whorl.model.seen import seen_bytes
from whorl.model.turns import HeadNorm

pytestmark = pytest.mark.skipif(not fused.can_run(torch.zeros(1, dtype=BF16)), reason="torch runs on other threads here")


@settings(deadline=None)
@given(rows=st.integers(1, 70), width=st.integers(1, 90), seed=st.integers(0, 99))
def test_a_norm_is_rounded_once(rows, width, seed):
    x, slope, weight = drawn(rows, width, seed=seed), drawn(rows, width, seed=seed + 1), torch.rand(width) + 0.5

    def formula(x, weight):
        return functional.rms_norm(x, weight.shape, weight, 1e-5)

    out, (grad_x, grad_weight) = exact_gradients(formula, [x, weight], slope.float())
    leaves = [x.clone().requires_grad_(), weight.clone().requires_grad_()]
    found = norms.rms_norm(*leaves, eps=1e-5)
    found_x, found_weight = torch.autograd.grad(found, leaves, slope)
    assert_near(found, out)
    assert (found_x.float() - grad_x).abs().max() <= ROUNDING * grad_x.abs().max() + 1e-5
    torch.testing.assert_close(found_weight, grad_weight, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("has_norm", [True, False])
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (6, 2), (1, 1)])
def test_turned_heads_equal_the_float32_norm_and_turn(heads, kv_heads, has_norm):
    table = rotary_table(32, 8, theta=100.0)
    positions = torch.randint(0, 32, (3, 10), generator=torch.Generator().manual_seed(5))
    x = drawn(3, 10, heads + 2 * kv_heads, 8)
    found, grads = [], []
    for one in (x.float(), x):
        leaf = one.requires_grad_()
        weights = [drawn(8, seed=seed).float().requires_grad_() for seed in (11, 12)] if has_norm else []
        # The tables are rounded to bfloat16 for both, so that only arithmetic differs.
        turn = turn_at(table.to(BF16).float(), positions, heads=heads + kv_heads, dtype=one.dtype)
        parts = kernels.turned_heads(leaf, turn, num_kv=kv_heads, norm=HeadNorm(*weights, 1e-5) if has_norm else None)
        slopes = [drawn(*part.shape, seed=3 + i).to(one.dtype) for i, part in enumerate(parts)]
        found.append(parts)
        grads.append(torch.autograd.grad(parts, [leaf, *weights], slopes))
    for exact, ours in zip(*found, strict=True):
        assert ours.is_contiguous()
        assert (ours.float() - exact).abs().max() <= ROUNDING * exact.abs().max()
    for exact, ours in zip(*grads, strict=True):
        assert (ours.float() - exact).abs().max() <= ROUNDING * exact.abs().max()


def sights():
    causal = torch.ones(70, 70, dtype=torch.bool).tril()
    docs = torch.arange(70) // 23
    return {
        "all": torch.ones(1, 70, 70, dtype=torch.bool),
        "causal": causal[None],
        "documents": torch.stack([causal & (docs[:, None] == docs), causal]),
        "holes": torch.stack([causal & (torch.arange(70) % 3 != 1) | torch.eye(70, dtype=torch.bool), causal]),
        "short": causal[None, :, :9] | (torch.arange(9) == 0),  # not a multiple of what the compiler unrolls to
    }


@pytest.mark.parametrize("name", sights())
def test_attention_over_bytes_equals_the_float32_formula(name):
    seen = sights()[name]
    t, s = seen.shape[1:]
    leaves = [drawn(2, heads, n, 8, seed=heads + n) for heads, n in ((4, t), (2, s), (2, s))]
    slope = drawn(2, 4, t, 8, seed=9)

    def formula(q, k, v):
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=seen[:, None], enable_gqa=True)

    exact, grads = exact_gradients(formula, leaves, slope.float())
    ours = [leaf.requires_grad_() for leaf in leaves]
    found = kernels.attended(*ours, seen_bytes(seen))
    assert (found.float() - exact).abs().max() <= 4 * ROUNDING * exact.abs().max()  # scores, weights and sums are rounded
    for mine, want in zip(torch.autograd.grad(found, ours, slope), grads, strict=True):
        assert (mine.float() - want).abs().max() <= 6 * ROUNDING * want.abs().max()


def test_what_is_not_seen_weighs_exactly_nothing_even_if_it_is_not_a_number():
    scores = drawn(1, 3, 70)
    scores[..., 40:] = float("nan")
    seen = torch.zeros(1, 3, 70, dtype=torch.bool)
    seen[..., :40] = True
    weights = fused.softmax_(scores, seen_bytes(seen), scale=0.5, heads=1)
    assert (weights[..., 40:] == 0).all()
    torch.testing.assert_close(weights[..., :40].float().sum(-1), torch.ones(1, 3), atol=0.02, rtol=0)


@settings(deadline=None)
@given(rows=st.integers(1, 9), vocabulary=st.integers(1, 150), seed=st.integers(0, 99))
def test_losses_and_slopes_are_those_of_cross_entropy(rows, vocabulary, seed):
    logits = drawn(rows, vocabulary, seed=seed, scale=3.0).detach()
    targets = torch.randint(0, vocabulary, (rows,), generator=torch.Generator().manual_seed(seed))
    wide = logits.float().requires_grad_()
    exact = functional.cross_entropy(wide, targets, reduction="none")
    (slopes,) = torch.autograd.grad(exact.sum(), wide)
    found = fused.cross_entropy_(logits, targets)
    torch.testing.assert_close(found, exact.detach(), atol=5e-6, rtol=1e-6)
    assert_near(logits, slopes)


def test_a_hopeless_token_keeps_its_loss():
    logits = torch.tensor([[0.0, 300.0]], dtype=BF16)
    assert fused.cross_entropy_(logits, torch.tensor([0])).item() == 300.0
    assert logits.tolist() == [[-1.0, 1.0]]


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_visible_and_in_its_row(broken):
    x = drawn(3, 40)
    x[1, 7] = broken
    assert fused.cross_entropy_(x.clone(), torch.tensor([0, 0, 0])).isfinite().tolist() == [True, False, True]
    out, _ = fused.normed(x, torch.ones(40), eps=1e-5)
    assert out.isfinite().all(-1).tolist() == [True, False, True]
    weights = fused.softmax_(x[None].clone(), seen_bytes(torch.ones(1, 3, 40, dtype=torch.bool)), scale=1.0, heads=1)
    assert weights[0].isfinite().all(-1).tolist() == [True, False, True]


def test_any_number_of_threads_gives_the_same_bytes():
    x, weight, slope = drawn(500, 64), torch.rand(64), drawn(500, 64, seed=1)
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        out, scale = fused.normed(x, weight, eps=1e-5)
        found.append((out, *fused.normed_backward(x, weight, scale=scale, grad=slope)))
    torch.set_num_threads(1)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def test_other_numbers_and_places_are_left_to_torch():
    assert not fused.can_run(torch.zeros(1))
    assert not fused.can_run(torch.zeros(1, dtype=BF16, device="meta"))
    assert not fused.can_run(torch.nn.Parameter(torch.zeros(1, dtype=BF16)))
