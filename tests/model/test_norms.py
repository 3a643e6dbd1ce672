"""Norms against the plain formula, value and gradients, alone and beside the stream they read."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from toy_models import filled_model, tiny_config
from toy_tensors import BF16, assert_near, drawn, exact_gradients

from whorl.model import norms
from whorl.model.recompute import recompute
from whorl.model.team import can_run

EPS = 1e-5
KINDS = ("rms", "layer")
in_loops = pytest.mark.skipif(not can_run(torch.zeros(1, dtype=BF16)), reason="torch runs on other threads here")


def ours(kind, x, *shared, eps=EPS):
    return norms.rms_norm(x, *shared, eps=eps) if kind == "rms" else norms.layer_norm(x, *shared, eps=eps)


def beside(kind, x, *shared):
    return norms.rms_norm_beside(x, *shared, eps=EPS) if kind == "rms" else norms.layer_norm_beside(x, *shared, eps=EPS)


def apart(kind, x, *shared):
    """The same two, whose gradients autograd adds."""
    return norms.Beside(x, ours(kind, x, *shared))


def plain(kind, x, *shared):
    if kind == "layer":
        return functional.layer_norm(x, (x.shape[-1],), *shared, eps=EPS)
    return functional.rms_norm(x, (x.shape[-1],), *shared, eps=EPS)


def shared_of(kind, width, *, seed=0):
    drawn_ones = drawn(width, seed=seed).float().abs() + 0.5, drawn(width, seed=seed + 1).float()
    return drawn_ones[: 1 if kind == "rms" else 2]


def gradients(act, leaves, slopes):
    """Of what `act` gives and nobody else holds, one by one."""
    leaves = [leaf.clone().requires_grad_() for leaf in leaves]
    given = [leaves[0] * 1, *leaves[1:]]  # a stream is never a leaf
    return torch.autograd.grad(act(*given), leaves, slopes)


@pytest.mark.parametrize("kind", KINDS)
@given(rows=st.integers(1, 5), width=st.integers(8, 17), seed=st.integers(0, 99))
def test_a_norm_equals_torch(kind, rows, width, seed):
    x, slope, shared = (
        drawn(rows, 3, width, seed=seed).float(),
        drawn(rows, 3, width, seed=seed + 9).float(),
        shared_of(kind, width),
    )
    out, wanted = exact_gradients(partial(plain, kind), [x, *shared], slope)
    torch.testing.assert_close(ours(kind, x, *shared), out, atol=2e-6, rtol=2e-6)  # a few roundings of float32
    for a, b in zip(gradients(partial(ours, kind), [x, *shared], slope), wanted, strict=True):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=2e-5)


def test_norm_of_zeros_is_zero_and_its_gradient_finite():
    x = torch.zeros(2, 4, requires_grad=True)
    norms.rms_norm(x, torch.ones(4), eps=1e-6).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_norm_in_bf16_stays_within_three_roundings_of_float32():
    x, weight = drawn(64, 128).float(), drawn(128, seed=1)
    exact = norms.rms_norm(x, weight.float(), eps=1e-6)
    found = norms.rms_norm(x.bfloat16(), weight, eps=1e-6).float()
    assert ((found - exact).abs() <= 5 * 2**-8 * exact.abs() + 1e-6).all()


@pytest.mark.parametrize("kind", KINDS)
@given(rows=st.integers(1, 5), width=st.integers(8, 40), seed=st.integers(0, 99))
def test_a_stream_beside_its_norm_has_the_gradient_of_the_formula_in_float32(kind, rows, width, seed):
    x, shared = drawn(rows, 3, width, seed=seed).float(), shared_of(kind, width)
    slopes = [drawn(rows, 3, width, seed=seed + n).float() for n in (1, 2)]
    found = gradients(partial(beside, kind), [x, *shared], slopes)
    wide = [tensor.double() for tensor in (x, *shared)]
    exact = gradients(lambda x, *s: (x, plain(kind, x, *s)), wide, [slope.double() for slope in slopes])
    for a, b in zip(found, exact, strict=True):
        assert (a - b).abs().max() <= 1e-6 * (1 + b.abs().max())


@in_loops
@pytest.mark.parametrize("kind", KINDS)
@given(rows=st.integers(1, 70), width=st.integers(8, 90), seed=st.integers(0, 99))
def test_gradients_of_a_stream_and_its_norm_are_added_and_rounded_once(kind, rows, width, seed):
    x, shared = drawn(rows, width, seed=seed), shared_of(kind, width)
    slopes = [drawn(rows, width, seed=seed + n) for n in (1, 2)]
    found, *found_shared = gradients(partial(beside, kind), [x, *shared], slopes)
    wide = [tensor.double() for tensor in (x, *shared)]
    exact, *_ = gradients(lambda x, *s: (x, plain(kind, x, *s)), wide, [slope.double() for slope in slopes])
    assert found.dtype is BF16
    assert_near(found, exact.float(), off_most=2e-5)
    _, *wanted_shared = gradients(partial(apart, kind), [x, *shared], slopes)
    assert all(torch.equal(a, b) for a, b in zip(found_shared, wanted_shared, strict=True))


@in_loops
@pytest.mark.parametrize("kind", KINDS)
def test_one_rounding_is_nearer_to_the_truth_than_two(kind):
    x, shared, slopes = drawn(200, 96), shared_of(kind, 96), [drawn(200, 96, seed=n) for n in (1, 2)]
    wide = [tensor.double() for tensor in (x, *shared)]
    exact, *_ = gradients(lambda x, *s: (x, plain(kind, x, *s)), wide, [slope.double() for slope in slopes])
    off = [(gradients(partial(act, kind), [x, *shared], slopes)[0] - exact).abs() for act in (beside, apart)]
    assert off[0].mean() < 0.95 * off[1].mean()
    assert off[0].max() <= off[1].max()


@in_loops
@pytest.mark.parametrize("kind", KINDS)
def test_who_reads_only_one_of_both_gets_its_gradient_alone(kind):
    x, slope = drawn(7, 40), drawn(7, 40, seed=1)
    leaves = [x, *shared_of(kind, 40)]
    (straight,) = gradients(lambda x: beside(kind, x, *leaves[1:]).stream, [x], slope)
    assert torch.equal(straight, slope)
    found = gradients(lambda *given: beside(kind, *given).normed, leaves, slope)
    assert all(torch.equal(a, b) for a, b in zip(found, gradients(partial(ours, kind), leaves, slope), strict=True))


@in_loops
@pytest.mark.parametrize("kind", KINDS)
def test_the_stream_is_the_memory_that_was_given(kind):
    x, shared = drawn(7, 40).requires_grad_() * 1, shared_of(kind, 40)
    stream, normed = beside(kind, x, *shared)
    assert stream.data_ptr() == x.data_ptr()
    assert stream.grad_fn is normed.grad_fn  # one node, or the gradients would not meet in it
    assert x._version == 0
    assert torch.equal(normed, ours(kind, x, *shared))
    with torch.no_grad():
        assert beside(kind, x, *shared).stream is x


@pytest.mark.parametrize("kind", KINDS)
def test_weights_learn_under_a_stream_that_does_not(kind):
    x, weight = drawn(7, 40), torch.ones(40, requires_grad=True)
    stream, normed = beside(kind, x, weight, *shared_of(kind, 40)[1:])
    normed.sum().backward()
    assert stream is x
    assert weight.grad is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_that_no_loop_knows_are_left_to_torch(kind, dtype):
    leaves = [one.to(dtype) for one in (drawn(7, 40), *shared_of(kind, 40))]
    slopes = [drawn(7, 40, seed=n).to(dtype) for n in (1, 2)]
    found, wanted = (gradients(partial(act, kind), leaves, slopes) for act in (beside, apart))
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


@in_loops
@pytest.mark.parametrize("kind", KINDS)
def test_a_strange_order_of_memory_changes_nothing(kind):
    shared, slopes = shared_of(kind, 40), [drawn(40, 7, seed=n).t() for n in (1, 2)]
    x = drawn(40, 7).t()
    found = gradients(lambda x: beside(kind, x, *shared), [x], slopes)[0]
    wanted = gradients(lambda x: beside(kind, x, *shared), [x.contiguous()], [slope.contiguous() for slope in slopes])[0]
    assert torch.equal(found, wanted)


@in_loops
@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_threads_adds_the_same_bytes(kind):
    leaves, slopes = [drawn(500, 64), *shared_of(kind, 64)], [drawn(500, 64, seed=n) for n in (1, 2)]
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(gradients(partial(beside, kind), leaves, slopes))
    torch.set_num_threads(1)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def learned(family, *, dtype=BF16, mode="none", dropout=0.0):
    """Hidden states of a toy model and the gradients of its parameters."""
    model = filled_model(tiny_config(family))
    model.compute_dtype = dtype
    model.set_dropout(dropout)
    recompute(model, mode)
    torch.manual_seed(3)
    hidden = model(torch.arange(48).view(2, 24))
    slope = drawn(*hidden.shape, seed=5).to(dtype)
    return hidden.detach(), torch.autograd.grad(hidden, list(model.parameters()), slope, allow_unused=True)


def distance(some, others):
    return sum(((a - b) ** 2).sum() for a, b in zip(some, others, strict=True) if a is not None).sqrt()


@in_loops
@pytest.mark.parametrize("family", ["llama", "gpt2", "modernbert", "bert", "olmo2", "qwen3_moe"])
def test_a_model_says_the_same_and_its_gradients_are_no_farther_from_the_truth(family, monkeypatch):
    _, exact = learned(family, dtype=torch.float32)
    hidden, found = learned(family)
    monkeypatch.setattr(norms, "_is_summed", lambda x, weight: False)
    before, summed_by_torch = learned(family)
    assert torch.equal(hidden, before)
    # Everything else in bfloat16 is as far off as it was, and only by luck a little nearer or farther.
    assert distance(found, exact) <= 1.05 * distance(summed_by_torch, exact)


@in_loops
@pytest.mark.parametrize("mode", ["full", "selective"])
@pytest.mark.parametrize("family", ["llama", "gpt2", "modernbert"])
def test_blocks_that_compute_again_give_the_same_gradients_to_the_bit(family, mode):
    hidden, wanted = learned(family, dropout=0.2)
    again, found = learned(family, mode=mode, dropout=0.2)
    assert torch.equal(hidden, again)
    assert all(a is b is None or torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
