"""Attention over what is seen against torch's in float32: every kind of sight, groups of queries, and tails of every size."""

import pytest
import torch
from torch.nn import functional
from toy_tensors import BF16, ROUNDING, drawn

from whorl.model import sighted
from whorl.model.lanes import has_pairs
from whorl.model.seen import seen_bytes
from whorl.model.team import can_run

is_able = has_pairs() and can_run(torch.zeros(1, dtype=BF16))
pytestmark = pytest.mark.skipif(not is_able, reason="this processor does not multiply pairs")


def sights(t):
    place = torch.arange(t)
    causal = place[:, None] >= place
    near = (place[:, None] - place).abs() < 20
    docs = place // 23
    return {
        "all": torch.ones(1, t, t, dtype=torch.bool),
        "causal": causal[None],
        "band": near[None],
        "causal band": (causal & near)[None],
        "documents": torch.stack([causal & (docs[:, None] == docs), causal]),
        "holes": torch.stack([causal & (place % 3 != 1) | torch.eye(t, dtype=torch.bool), causal]),
    }


def ours(leaves, seen, slope):
    return ours_by(leaves, seen_bytes(seen), slope)


def ours_by(leaves, mask, slope):
    out, weights = sighted.looked(*leaves, mask)
    return out, *sighted.looked_backward(leaves, weights, mask=mask, grad=slope)


@pytest.mark.parametrize(("heads", "kv_heads", "t", "c"), [(4, 4, 128, 64), (4, 2, 70, 8), (6, 2, 131, 96), (3, 3, 65, 10)])
@pytest.mark.parametrize("name", sights(1))
def test_attention_equals_the_float32_formula(name, heads, kv_heads, t, c):
    seen = sights(t)[name]
    leaves = tuple(drawn(2, n, t, c, seed=seed) for seed, n in enumerate((heads, kv_heads, kv_heads)))
    slope = drawn(2, heads, t, c, seed=9)
    wide = [leaf.float().requires_grad_() for leaf in leaves]
    exact = functional.scaled_dot_product_attention(*wide, attn_mask=seen[:, None], enable_gqa=True)
    wanted = exact.detach(), *torch.autograd.grad(exact, wide, slope.float())
    for found, want in zip(ours(leaves, seen, slope), wanted, strict=True):
        assert found.shape == want.shape
        assert (found.float() - want).abs().max() <= 4 * ROUNDING * want.abs().max()  # scores, weights and sums are rounded


@pytest.mark.parametrize("name", ["all", "causal", "band", "causal band", "documents"])
@pytest.mark.parametrize("t", [64, 131])
def test_a_row_without_holes_gets_the_bits_that_its_bytes_would_give_it(name, t):
    seen = sights(t)[name]
    leaves = tuple(drawn(2, 3, t, 16, seed=seed) for seed in range(3))
    mask, told = seen_bytes(seen), seen_bytes(seen)
    told[..., 8:12] = 0  # as if fewer columns were seen than lie between the first and the last
    slope = drawn(2, 3, t, 16, seed=4)
    for one, other in zip(ours_by(leaves, mask, slope), ours_by(leaves, told, slope), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("t", [70, 131])
def test_rows_that_see_nothing_are_zero_and_give_no_gradients(t):
    seen = sights(t)["causal"].clone()
    seen[:, [0, 3, 67]] = False
    seen[:, 8:12] = False  # a whole group of queries
    leaves = tuple(drawn(2, 2, t, 16, seed=seed) for seed in range(3))
    slope = drawn(2, 2, t, 16, seed=4)
    wide = [leaf.float().requires_grad_() for leaf in leaves]
    some = seen.any(-1)[0]
    exact = functional.scaled_dot_product_attention(wide[0][:, :, some], *wide[1:], attn_mask=seen[:, some][:, None])
    grads = torch.autograd.grad(exact, wide, slope[:, :, some].float())
    out, *found = ours(leaves, seen, slope)
    assert (out[:, :, ~some] == 0).all()
    assert (found[0][:, :, ~some] == 0).all()
    assert (out[:, :, some].float() - exact).abs().max() <= 4 * ROUNDING * exact.abs().max()
    for grad, want in zip(found, grads, strict=True):
        assert (grad.float() - want).abs().max() <= 4 * ROUNDING * want.abs().max()


def test_a_block_of_which_no_row_sees_anything_is_zero():
    seen = sights(200)["causal"].clone()
    seen[:, 64:128] = False
    leaves = tuple(drawn(2, 2, 200, 16, seed=seed) for seed in range(3))
    out, queries, *_ = ours(leaves, seen, drawn(2, 2, 200, 16, seed=4))
    for found in (out, queries):
        assert (found[:, :, 64:128] == 0).all()
        assert (found[:, :, 128:].abs().amax(-1) > 0).all()


def test_what_is_not_a_number_stays_with_the_queries_that_see_it():
    q, k, v = (drawn(2, 2, 140, 16, seed=seed) for seed in range(3))
    cut, slope = sights(140)["causal band"], drawn(2, 2, 140, 16, seed=4)
    _, whole, *_ = ours((q, k, v), cut, slope)
    k[:, :, 100] = float("nan")
    out, grad, *_ = ours((q, k, v), cut, slope)
    sees = cut[0, :, 100]
    assert not out[:, :, sees].isfinite().any()
    assert not grad[:, :, sees].isfinite().any()
    assert out[:, :, ~sees].isfinite().all()
    assert torch.equal(grad[:, :, :96], whole[:, :, :96])


def test_any_number_of_threads_gives_the_same_bytes():
    leaves = tuple(drawn(2, 3, 150, 32, seed=seed) for seed in range(3))
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(ours(leaves, sights(150)["documents"], drawn(2, 3, 150, 32, seed=4)))
    torch.set_num_threads(1)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def test_what_is_not_seen_does_not_count_even_if_it_is_not_a_number():
    q, k, v = (drawn(2, 2, 140, 16, seed=seed) for seed in range(3))
    cut = sights(140)["causal"]
    whole, _ = sighted.looked(q, k, v, seen_bytes(cut))
    k[:, :, 100:] = float("nan")
    out, _ = sighted.looked(q, k, v, seen_bytes(cut))
    assert torch.equal(out[:, :, :100], whole[:, :, :100])
    assert not out[:, :, 100:].isfinite().any()


def test_few_heads_and_odd_channels_are_left_to_torch():
    assert sighted.can_look(torch.empty(2, 4, 9, 8), torch.empty(2, 2, 9, 8))
    assert not sighted.can_look(torch.empty(1, 4, 9, 8), torch.empty(1, 2, 9, 8))
    assert not sighted.can_look(torch.empty(2, 4, 9, 7), torch.empty(2, 2, 9, 7))
