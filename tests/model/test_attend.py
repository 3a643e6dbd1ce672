"""The backends that train here are one function, and that function is attention; flex and varlen have files of their own."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_heads import CPU, attended, drawn_heads

from whorl.model import attend
from whorl.model.attend import MatmulAttend, SdpaAttend, build_attend
from whorl.model.flex import FlexAttend
from whorl.model.mask import MaskSpec, Scene
from whorl.model.varlen import VarlenAttend

BOTH = (SdpaAttend(), MatmulAttend())


def test_attention_of_two_keys_is_the_hand_worked_average():
    q, k = torch.tensor([[[[2.0, 0.0]]]]), torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    v = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    weight = 1 / (1 + math.exp(-math.sqrt(2)))  # scores sqrt(2) and 0
    scene = Scene(MaskSpec(causal=True), 1, CPU, past=1)
    for backend in (*BOTH, FlexAttend(), VarlenAttend()):
        torch.testing.assert_close(attended(backend, (q, k, v), scene)[0, 0, 0], torch.tensor([weight, 1 - weight]))


@given(
    rows=st.integers(1, 3),
    groups=st.sampled_from([(1, 1), (2, 2), (4, 2), (6, 1)]),
    time=st.integers(1, 9),
    past=st.integers(0, 4),
    is_packed=st.booleans(),
    rules=st.builds(MaskSpec, causal=st.booleans(), window=st.none() | st.integers(1, 5)),
)
def test_matmul_equals_sdpa_forward_and_backward(rows, groups, time, past, is_packed, rules):
    heads, kv_heads = groups
    parts = drawn_heads(rows, heads, kv_heads, (time, past + time))
    numbers = torch.arange(rows * (past + time)).view(rows, -1) // 3
    spec = replace(rules, docs=numbers[:, past:] if is_packed else None)
    scene = Scene(spec, time, CPU, past=past, past_docs=numbers[:, :past] if is_packed else None)
    results = []
    for backend in BOTH:
        leaves = [part.clone().requires_grad_() for part in parts]
        out = attended(backend, leaves, scene)
        results.append([out.detach(), *torch.autograd.grad(out.square().sum(), leaves)])
    for reference, found in zip(*results, strict=True):
        torch.testing.assert_close(found, reference, atol=1e-5, rtol=1e-5)


def test_matmul_in_bf16_is_as_near_to_float32_as_sdpa_in_bf16():
    parts = drawn_heads(2, 4, 2, (16, 16))
    scene = Scene(MaskSpec(causal=True), 16, CPU)
    exact = attended(SdpaAttend(), parts, scene)
    errors = [(attended(b, parts, scene, torch.bfloat16).float() - exact).abs().max() for b in BOTH]
    assert errors[1] <= 2 * errors[0]  # products, weights and sums are each rounded once; neither keeps more


def test_a_query_sees_no_masked_key_even_if_that_key_is_huge():
    q, k, v = drawn_heads(1, 1, 1, (2, 2))
    k[:, :, 1], v[:, :, 1] = 1e4, 1e4
    for backend in (*BOTH, FlexAttend()):
        out = attended(backend, (q, k, v), Scene(MaskSpec(causal=True), 2, CPU))
        torch.testing.assert_close(out[0, 0, 0], v[0, 0, 0])


@pytest.mark.parametrize(("dtype", "kind"), [(torch.bfloat16, MatmulAttend), (torch.float32, SdpaAttend)])
def test_auto_takes_matmul_only_where_fused_kernels_are_slow(dtype, kind):
    assert type(build_attend("auto", device=CPU, dtype=dtype)) is kind
    assert type(build_attend("matmul", device=CPU, dtype=dtype)) is MatmulAttend


@pytest.mark.parametrize(("windows", "kinds"), [((), 1), ((None, 4, 4, None), 2), ((2, 3, 2, 3), 2)])
def test_a_mask_is_prepared_once_per_kind_of_layer_not_once_per_layer(tiny, filled, some_ids, monkeypatch, windows, kinds):
    prepared = []

    class Counting(SdpaAttend):
        def prepare(self, scene, **rest):
            prepared.append(scene.rules.window)
            return super().prepare(scene, **rest)

    monkeypatch.setattr(attend, "BACKENDS", {**attend.BACKENDS, "sdpa": Counting()})
    model = filled(tiny(depth=4).model_copy(update={"windows": windows}))
    model.backend = "sdpa"
    model(some_ids(2, 16), mask=MaskSpec(docs=torch.arange(16).expand(2, 16) // 5))
    assert len(prepared) == kinds
