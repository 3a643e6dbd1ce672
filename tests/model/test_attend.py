"""The two backends are the same function, and that function is attention."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from whorl.model.attend import MatmulAttend, SdpaAttend, build_attend
from whorl.model.mask import MaskSpec, visible

CPU = torch.device("cpu")


def attended(backend, heads, seen, dtype=torch.float32):
    q, k, v = (part.to(dtype) for part in heads)
    mask = backend.prepare(seen, heads=q.shape[1], kv_heads=k.shape[1], dtype=dtype)
    return backend(q, k, v, mask)


def drawn_heads(rows, heads, kv_heads, times, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(rows, n, t, 8, generator=generator)
        for n, t in ((heads, times[0]), (kv_heads, times[1]), (kv_heads, times[1]))
    ]


def test_attention_of_two_keys_is_the_hand_worked_average():
    q, k = torch.tensor([[[[2.0, 0.0]]]]), torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    v = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    weight = 1 / (1 + math.exp(-math.sqrt(2)))  # scores sqrt(2) and 0
    seen = torch.ones(1, 1, 2, dtype=torch.bool)
    for backend in (SdpaAttend(), MatmulAttend()):
        torch.testing.assert_close(attended(backend, (q, k, v), seen)[0, 0, 0], torch.tensor([weight, 1 - weight]))


@given(
    rows=st.integers(1, 3),
    groups=st.sampled_from([(1, 1), (2, 2), (4, 2), (6, 1)]),
    time=st.integers(1, 9),
    past=st.integers(0, 4),
    is_packed=st.booleans(),
    window=st.none() | st.integers(1, 5),
)
def test_matmul_equals_sdpa_forward_and_backward(rows, groups, time, past, is_packed, window):
    heads, kv_heads = groups
    parts = drawn_heads(rows, heads, kv_heads, (time, past + time))
    numbers = torch.arange(rows * (past + time)).view(rows, -1) // 3
    spec = MaskSpec(causal=True, window=window, docs=numbers[:, past:] if is_packed else None)
    seen = visible(spec, time, device=CPU, past=past, past_docs=numbers[:, :past] if is_packed else None)
    results = []
    for backend in (SdpaAttend(), MatmulAttend()):
        leaves = [part.clone().requires_grad_() for part in parts]
        out = attended(backend, leaves, seen)
        results.append([out.detach(), *torch.autograd.grad(out.square().sum(), leaves)])
    for reference, found in zip(*results, strict=True):
        torch.testing.assert_close(found, reference, atol=1e-5, rtol=1e-5)


def test_matmul_in_bf16_is_as_near_to_float32_as_sdpa_in_bf16():
    parts = drawn_heads(2, 4, 2, (16, 16))
    seen = visible(MaskSpec(causal=True), 16, device=CPU)
    exact = attended(SdpaAttend(), parts, seen)
    errors = [(attended(b, parts, seen, torch.bfloat16).float() - exact).abs().max() for b in (SdpaAttend(), MatmulAttend())]
    assert errors[1] <= 2 * errors[0]  # products, weights and sums are each rounded once; neither keeps more


def test_a_query_sees_no_masked_key_even_if_that_key_is_huge():
    q, k, v = drawn_heads(1, 1, 1, (2, 2))
    k[:, :, 1], v[:, :, 1] = 1e4, 1e4
    for backend in (SdpaAttend(), MatmulAttend()):
        out = attended(backend, (q, k, v), visible(MaskSpec(causal=True), 2, device=CPU))
        torch.testing.assert_close(out[0, 0, 0], v[0, 0, 0])


@pytest.mark.parametrize(("dtype", "kind"), [(torch.bfloat16, MatmulAttend), (torch.float32, SdpaAttend)])
def test_auto_takes_matmul_only_where_fused_kernels_are_slow(dtype, kind):
    assert type(build_attend("auto", device=CPU, dtype=dtype)) is kind
    assert type(build_attend("matmul", device=CPU, dtype=dtype)) is MatmulAttend
