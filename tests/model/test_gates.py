"""Each gate in one pass in bfloat16 against the plain formula in float32, value and gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from toy_tensors import BF16, assert_near, drawn, exact_gradients

from whorl.model import gates, kernels
from whorl.model.team import can_run

pytestmark = pytest.mark.skipif(not can_run(torch.zeros(1, dtype=BF16)), reason="torch runs on other threads here")


@pytest.mark.parametrize(
    ("gated", "activation", "room"),
    [
        (kernels.silu_gated, functional.silu, {"off_most": 1e-5}),
        (kernels.gelu_gated, functional.gelu, {"off_most": 1e-6, "off": 1e-6}),
    ],
    ids=["silu", "gelu"],
)
@settings(deadline=None)
@given(count=st.integers(1, 40_000), seed=st.integers(0, 99))
def test_a_gate_is_rounded_once(gated, activation, room, count, seed):
    gate, up, slope = drawn(count, seed=seed, scale=4.0), drawn(count, seed=seed + 1), drawn(count, seed=seed + 2)
    out, grads = exact_gradients(lambda gate, up: activation(gate) * up, [gate, up], slope.float())
    leaves = [gate.requires_grad_(), up.requires_grad_()]
    found = gated(torch.cat(leaves))
    for ours, exact in zip((found, *torch.autograd.grad(found, leaves, slope)), (out, *grads), strict=True):
        assert_near(ours, exact, **room)


def test_a_silu_gate_far_from_zero_is_shut_or_open():
    gate = torch.tensor([-1e30, -200.0, -88.0, 0.0, 200.0, 1e30], dtype=BF16)
    found = kernels.silu_gated(torch.cat([gate, torch.ones_like(gate)])).float()
    assert found[:3].abs().max() < 1e-35
    torch.testing.assert_close(found[3:], gate[3:].float())


def test_a_gelu_gate_far_from_zero_is_shut_or_open():
    gate = torch.tensor([-1e30, -200.0, -20.0, 0.0, 20.0, 200.0, 1e30], dtype=BF16)
    found = kernels.gelu_gated(torch.cat([gate, torch.ones_like(gate)])).float()
    assert found[1:4].abs().max() < 1e-30
    torch.testing.assert_close(found[3:], gate[3:].float())


@pytest.mark.parametrize("activation", [gates.SILU, gates.GELU])
@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_visible_and_in_its_row(broken, activation):
    x = drawn(3, 40)
    x[1, 7] = broken
    out = gates.gated(torch.cat([x, x], dim=-1), activation)
    assert out[1, 7].isfinite().item() is False
    assert out.isfinite().all(-1).tolist() == [True, False, True]


@pytest.mark.parametrize("activation", [gates.SILU, gates.GELU])
def test_any_number_of_threads_gives_the_same_bytes(activation):
    both, slope = drawn(1000, 2 * 64), drawn(1000, 64, seed=1)
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append((gates.gated(both, activation), gates.gated_backward(both, activation, grad=slope)))
    torch.set_num_threads(1)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))
