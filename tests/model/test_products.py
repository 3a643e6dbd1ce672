"""The three products of a linear map against float32: panels, tails of every size, and any number of threads."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.model.head_matrix import head_matrix
from whorl.model.lanes import TALL
from whorl.model.layers import product
from whorl.model.maps import can_map, mapped
from whorl.model.products import add_gradient_, block_of, can_multiply, multiplied, panels_across, panels_along

BF16 = torch.bfloat16
ROUNDING = 2.0**-8  # of one number to bfloat16, relative
pytestmark = pytest.mark.skipif(not can_multiply(torch.zeros(2, 2)), reason="this processor does not multiply pairs")


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def near(found, exact, *, roundings):
    return (found.float() - exact).abs().max() <= roundings * ROUNDING * exact.abs().max() + 1e-6


@settings(deadline=None, max_examples=25)
@given(
    n=st.integers(1, 140),
    lots=st.integers(0, 6),
    rest=st.integers(1, 40),
    half=st.integers(1, 60),
    dtype=st.sampled_from([torch.float32, BF16]),
)
def test_all_three_products_equal_float32(n, lots, rest, half, dtype):
    weights = tuple(drawn(rows, 2 * half, seed=rows).to(dtype) for rows in (16 * lots, 2 * rest) if rows)
    whole = torch.cat(weights).to(BF16).float()
    x, slope = drawn(n, 2 * half, seed=1).to(BF16), drawn(n, len(whole), seed=2).to(BF16)
    assert near(multiplied(x, panels_across(weights), columns=len(whole)), x.float() @ whole.T, roundings=1)
    assert near(multiplied(slope, panels_along(weights), columns=2 * half), slope.float() @ whole, roundings=1)
    exact = slope.float().T @ x.float()
    found = add_gradient_(torch.full_like(exact, torch.nan), slope, x, is_fresh=True)
    torch.testing.assert_close(found, exact, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(add_gradient_(found, slope, x, is_fresh=False), 2 * exact, atol=2e-4, rtol=1e-4)


def test_a_long_axis_is_added_up_block_by_block():
    x, slope = drawn(1301, 130).to(BF16), drawn(1301, 70, seed=1).to(BF16)
    found = add_gradient_(torch.empty(70, 130), slope, x, is_fresh=True)
    torch.testing.assert_close(found, slope.float().T @ x.float(), atol=1e-3, rtol=1e-4)


def test_any_number_of_threads_gives_the_same_bytes():
    x, weight, slope = drawn(500, 96).to(BF16), drawn(208, 96, seed=1), drawn(500, 208, seed=2).to(BF16)
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        out = multiplied(x, panels_across((weight,)), columns=208), multiplied(slope, panels_along((weight,)), columns=96)
        found.append((*out, add_gradient_(torch.empty(208, 96), slope, x, is_fresh=True)))
    torch.set_num_threads(1)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_visible_and_in_its_row(broken):
    x = drawn(9, 32).to(BF16)
    x[4, 7] = broken
    out = multiplied(x, panels_across((torch.ones(48, 32),)), columns=48)
    assert out.isfinite().all(-1).tolist() == [row != 4 for row in range(9)]


def test_a_map_has_the_gradients_of_the_plain_product():
    x, weights = drawn(3, 40, 64).to(BF16), (drawn(32, 64, seed=1), drawn(30, 64, seed=2))
    slope = drawn(3, 40, 62, seed=3).to(BF16)
    ours = [leaf.clone().requires_grad_() for leaf in (x, *weights)]
    assert can_map(ours[0], tuple(ours[1:]))
    found = torch.autograd.grad(mapped(ours[0], tuple(ours[1:])), ours, slope)
    wide = [leaf.clone().to(BF16).float().requires_grad_() for leaf in (x, *weights)]
    exact = torch.autograd.grad(wide[0] @ torch.cat(wide[1:]).T, wide, slope.float())
    assert found[0].dtype is BF16
    assert near(found[0], exact[0], roundings=1)
    for ours_, want in zip(found[1:], exact[1:], strict=True):
        torch.testing.assert_close(ours_, want, atol=1e-3, rtol=1e-4)


def test_odd_sides_few_vectors_and_float32_are_left_to_torch():
    x = drawn(128, 32).to(BF16)
    assert can_map(x, (torch.zeros(16, 32),))
    assert not can_map(x.float(), (torch.zeros(16, 32),))
    assert not can_map(x[:8], (torch.zeros(16, 32),))
    assert not can_map(x, (torch.zeros(15, 32),))
    assert not can_map(x, (torch.zeros(15, 32), torch.zeros(17, 32)))
    assert not can_map(x[:, :31], (torch.zeros(16, 31),))
    with torch.no_grad():
        assert not can_map(x, (torch.zeros(16, 32),))
    assert product(x, (torch.ones(15, 32),), (None,)).shape == (128, 15)


def test_logits_in_panels_are_those_of_the_matrix():
    weight, hidden, slopes = drawn(70, 32), drawn(50, 32, seed=1).to(BF16), drawn(50, 70, seed=2).to(BF16)
    panels, plain = head_matrix(weight, None, BF16), head_matrix(weight.to(BF16).float(), None, torch.float32)
    assert type(panels) is not type(plain) or not can_multiply(weight)
    low, wide = torch.empty(50, 70, dtype=BF16), torch.empty(50, 70)
    assert near(panels.logits(hidden, out=low), plain.logits(hidden.float(), out=wide), roundings=1)
    back, exact = torch.empty(50, 32, dtype=BF16), torch.empty(50, 32)
    assert near(panels.gathered(slopes, out=back), plain.gathered(slopes.float(), out=exact), roundings=1)
    total, want = None, None
    for _ in range(2):
        total = panels.add_gradient(total, slopes, hidden)
        want = plain.add_gradient(want, slopes.float(), hidden.float())
    torch.testing.assert_close(total, want, atol=1e-3, rtol=1e-4)


@settings(deadline=None, max_examples=50)
@given(rows=st.integers(1, 20_000), threads=st.integers(1, 4))
def test_blocks_are_whole_tiles_that_divide_evenly_among_threads(rows, threads):
    torch.set_num_threads(threads)
    block = block_of(rows)
    torch.set_num_threads(1)
    assert block % TALL == 0
    sizes = [min(block, rows - first) for first in range(0, rows, block)]
    assert sum(sizes) == rows
    assert max(sum(sizes[thread::threads]) for thread in range(threads)) <= rows / threads + 48
