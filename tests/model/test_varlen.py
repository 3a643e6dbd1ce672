"""Where documents begin is exact, and what is handed to torch's kernel gives the reference's function.

The kernel runs on CUDA only and is not measured: here its definition stands in for it.
"""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_heads import CPU, attended, drawn_heads
from varlen_by_definition import by_definition

from whorl.core.errors import ResourceError
from whorl.model import varlen
from whorl.model.attend import build_attend
from whorl.model.mask import PADDING, MaskSpec, Scene
from whorl.model.sdpa import SdpaAttend
from whorl.model.varlen import VarlenAttend, run_starts, varlen_fault


@pytest.mark.parametrize(
    ("device", "dtype", "fault"),
    [
        ("cpu", torch.bfloat16, "needs a CUDA device"),
        ("cuda", torch.float32, "bf16 or fp16, not float32"),
        ("cuda", torch.bfloat16, ""),
    ],
)
def test_varlen_says_what_it_lacks(device, dtype, fault):
    found = varlen_fault(torch.device(device), dtype)
    assert fault in found
    assert bool(found) == bool(fault)
    if device == "cpu":
        with pytest.raises(ResourceError, match="varlen"):
            build_attend("varlen", device=CPU, dtype=dtype)


def test_a_torch_without_varlen_is_named(monkeypatch):
    monkeypatch.setattr(varlen, "find_spec", lambda name: None)
    assert "has no torch.nn.attention.varlen" in varlen_fault(torch.device("cuda"), torch.bfloat16)


def test_documents_laid_end_to_end_begin_where_numbers_change_or_rows_do():
    docs = torch.tensor([[0, 0, 1, PADDING], [0, 0, 0, 0], [0, 1, 2, 3]])
    starts = run_starts(docs)
    assert starts.dtype is torch.int32
    assert starts[:9].tolist() == [0, 2, 3, 4, 8, 9, 10, 11, 12]
    assert len(starts) == 64  # a power of two, filled with the end: empty documents
    assert set(starts[8:].tolist()) == {12}


def packings(longest=12):
    """Rows of documents side by side, with padding before or after."""
    lengths = st.lists(st.integers(1, 5), min_size=1, max_size=6)
    row = st.tuples(lengths, st.integers(0, 3), st.booleans())
    return st.lists(row, min_size=1, max_size=3).map(lambda rows: torch.tensor([numbered(*one, longest) for one in rows]))


def numbered(lengths, padding, is_left, longest):
    docs = [number for number, length in enumerate(lengths) for _ in range(length)][: longest - padding]
    empty = [PADDING] * (longest - len(docs))
    return empty + docs if is_left else docs + empty


@given(
    docs=packings(),
    groups=st.sampled_from([(1, 1), (4, 2), (3, 1)]),
    is_causal=st.booleans(),
    window=st.none() | st.integers(1, 5),
    has_groups=st.booleans(),
)
def test_varlen_equals_sdpa_given_torch_s_definition(docs, groups, is_causal, window, has_groups):
    scene = Scene(MaskSpec(causal=is_causal, window=window, docs=docs), docs.shape[1], CPU)
    parts = drawn_heads(len(docs), *groups, (docs.shape[1], docs.shape[1]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(varlen, "_varlen", lambda: (by_definition, has_groups))
        found = attended(VarlenAttend(), parts, scene)
    torch.testing.assert_close(found, attended(SdpaAttend(), parts, scene), atol=1e-5, rtol=1e-5)


def test_varlen_without_documents_takes_every_row_for_one(monkeypatch):
    monkeypatch.setattr(varlen, "_varlen", lambda: (by_definition, True))
    scene, parts = Scene(MaskSpec(causal=True, window=3), 7, CPU), drawn_heads(2, 4, 2, (7, 7))
    torch.testing.assert_close(attended(VarlenAttend(), parts, scene), attended(SdpaAttend(), parts, scene))
