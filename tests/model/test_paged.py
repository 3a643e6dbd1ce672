"""Attention over pages against torch's formula: values, windows, company, threads, and memory that was never written."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from whorl.model import paged
from whorl.model.paged import paged_attention
from whorl.model.team import can_run

BF16, F32 = torch.bfloat16, torch.float32
runs_loops = pytest.mark.skipif(not can_run(), reason="torch runs on other threads here")


@dataclass
class Scene:
    """Rows of random keys in scattered blocks, and tokens at random places of them."""

    n: int = 5
    heads: int = 4
    kv: int = 2
    c: int = 24
    size: int = 8
    context: int = 40
    dtype: torch.dtype = F32
    seed: int = 0
    num_rows: int = 3

    def __post_init__(self):
        self.generator = torch.Generator().manual_seed(self.seed)
        per_row = -(-self.context // self.size)
        blocks = self.num_rows * per_row + 2
        self.keys, self.values = (self.drawn(blocks, self.kv, self.size, self.c).to(self.dtype) for _ in range(2))
        order = torch.randperm(blocks, generator=self.generator)
        self.tables = order[: self.num_rows * per_row].view(self.num_rows, per_row).int()
        self.rows = torch.randint(0, self.num_rows, (self.n,), generator=self.generator)
        self.positions = torch.randint(0, self.context, (self.n,), generator=self.generator)
        self.positions[0] = self.context - 1
        self.q = self.drawn(self.n, self.heads, self.c).to(self.dtype)

    def drawn(self, *shape):
        return torch.randn(*shape, generator=self.generator)

    def attended(self, tokens=slice(None), *, window=None):
        where = {"rows": self.rows[tokens], "positions": self.positions[tokens]}
        return paged_attention(self.q[tokens], self.keys, self.values, tables=self.tables, window=window, **where)

    def by_hand(self, *, window=None):
        """Each token by itself, in float64."""
        out = []
        for q, row, place in zip(self.q.double(), self.rows, self.positions, strict=True):
            k, v = (one[self.tables[row].long()].transpose(0, 1).flatten(1, 2).double() for one in (self.keys, self.values))
            begin = 0 if window is None else max(0, int(place) - window + 1)
            seen = slice(begin, int(place) + 1)
            out.append(
                functional.scaled_dot_product_attention(q[None, :, None], k[None, :, seen], v[None, :, seen], enable_gqa=True)
            )
        return torch.cat(out).squeeze(2)


DIALS = st.fixed_dictionaries(
    {
        "n": st.integers(1, 7),
        "c": st.sampled_from([2, 8, 16, 24, 64, 80]),
        "size": st.sampled_from([1, 3, 8, 16]),
        "context": st.integers(1, 70),
        "seed": st.integers(0, 99),
    }
)


@settings(deadline=None, max_examples=40)
@given(dials=DIALS, kv=st.integers(1, 3), group=st.integers(1, 6), window=st.none() | st.integers(1, 80))
def test_attention_over_pages_is_attention(dials, kv, group, window):
    scene = Scene(**dials, kv=kv, heads=kv * group)
    torch.testing.assert_close(scene.attended(window=window).double(), scene.by_hand(window=window), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("window", [None, 300])
@pytest.mark.parametrize("dtype", [F32, BF16])
def test_long_contexts_are_joined_from_spans(window, dtype):
    scene = Scene(context=1100, size=16, dtype=dtype, c=64)
    exact = scene.by_hand(window=window)
    # One rounding of the result; in bfloat16 all products of queries and keys are exact.
    room = 1e-6 if dtype is F32 else 2.0**-8 * exact.abs().max() + 1e-6
    assert (scene.attended(window=window).double() - exact).abs().max() <= room


@runs_loops
@pytest.mark.parametrize("dtype", [F32, BF16])
@pytest.mark.parametrize("kv", [1, 4])
def test_a_token_has_the_same_bytes_in_any_company_on_any_number_of_threads(dtype, kv):
    scene = Scene(n=9, heads=8, kv=kv, context=900, dtype=dtype)
    together = scene.attended()
    for threads in (1, 2, 3):  # a single token's spans are spread over several
        torch.set_num_threads(threads)
        assert torch.equal(scene.attended(), together)
        for token in range(3):
            assert torch.equal(scene.attended(slice(token, token + 1)), together[token : token + 1])
    torch.set_num_threads(1)


@runs_loops
def test_where_blocks_lie_does_not_show():
    scene = Scene(context=300)
    before, order = scene.attended(), torch.randperm(len(scene.keys), generator=scene.generator)
    scene.keys, scene.values = scene.keys[order], scene.values[order]
    scene.tables = order.argsort()[scene.tables.long()].int()
    assert torch.equal(scene.attended(), before)


@pytest.mark.parametrize("is_looped", [True, False])
def test_what_is_not_seen_may_be_anything(monkeypatch, is_looped):
    if not is_looped:
        monkeypatch.setattr(paged, "can_run", lambda *_: False)
    scene = Scene(context=40, num_rows=1, n=1)
    scene.positions[:] = 20
    before = scene.attended(window=10)
    held = scene.tables[0].long()
    for one in (scene.keys, scene.values):
        row = one[held].transpose(1, 2).flatten(0, 1)  # places first
        row[:11], row[21:] = float("nan"), float("inf")
        one[held] = row.unflatten(0, (-1, 8)).transpose(1, 2)
    scene.tables[0, 3:] = -1  # blocks that were never given
    assert torch.equal(scene.attended(window=10), before)


def test_the_formula_without_loops_gives_the_same_numbers(monkeypatch):
    scene = Scene(context=90)
    looped = scene.attended(window=33)
    monkeypatch.setattr(paged, "can_run", lambda *_: False)
    torch.testing.assert_close(scene.attended(window=33), looped, atol=1e-6, rtol=1e-6)


@runs_loops
@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_broken_query_breaks_its_own_token_only(broken):
    scene = Scene(n=3)
    scene.q[1, 0, 0] = broken
    assert scene.attended().isfinite().all(-1).all(-1).tolist() == [True, False, True]
