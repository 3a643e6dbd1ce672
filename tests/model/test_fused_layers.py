"""Each one-pass loop of encoders in bfloat16 against the plain formula in float32, value and gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from toy_tensors import BF16, ROUNDING, drawn, exact_gradients

from whorl.model import fused_layers, norms
from whorl.model.team import can_run

pytestmark = pytest.mark.skipif(not can_run(torch.zeros(1, dtype=BF16)), reason="torch runs on other threads here")


@settings(deadline=None)
# Of two or three numbers a slope is the difference of nearly equal ones, and float32 itself is further off.
@given(rows=st.integers(1, 70), width=st.integers(8, 90), seed=st.integers(0, 99), has_bias=st.booleans())
def test_a_layer_norm_is_rounded_once(rows, width, seed, has_bias):
    x, slope = drawn(rows, width, seed=seed) + 3, drawn(rows, width, seed=seed + 1)
    shared = [drawn(width, seed=seed + 2).float().abs() + 0.5, drawn(width, seed=seed + 3).float()][: 2 if has_bias else 1]

    def formula(x, *shared):
        return functional.layer_norm(x, (width,), *shared, eps=1e-5)

    out, (grad_x, *grads) = exact_gradients(formula, [x, *shared], slope.float())
    leaves = [leaf.clone().requires_grad_() for leaf in (x, *shared)]
    found = norms.layer_norm(leaves[0], leaves[1], leaves[2] if has_bias else None, eps=1e-5)
    found_x, *found_shared = torch.autograd.grad(found, leaves, slope)
    assert found.dtype is BF16
    assert (found.float() - out).abs().max() <= ROUNDING * out.abs().max() + 1e-4
    assert (found_x.float() - grad_x).abs().max() <= ROUNDING * grad_x.abs().max() + 1e-4
    for ours, exact in zip(found_shared, grads, strict=True):
        torch.testing.assert_close(ours, exact, atol=1e-3, rtol=1e-4)


def test_what_is_not_finite_stays_visible_and_in_its_row():
    x = drawn(3, 40)
    x[1, 7] = float("nan")
    out, _ = fused_layers.layer_normed(x, torch.ones(40), torch.zeros(40), eps=1e-5)
    assert out.isfinite().all(-1).tolist() == [True, False, True]


def test_any_number_of_threads_gives_the_same_bytes():
    x, weight, bias, slope = drawn(500, 64), torch.rand(64), torch.rand(64), drawn(500, 64, seed=1)
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        out, stats = fused_layers.layer_normed(x, weight, bias, eps=1e-5)
        found.append((out, *fused_layers.layer_normed_backward(x, weight, stats=stats, grad=slope)))
    torch.set_num_threads(1)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))
