"""Sums of a tile in both kinds of arithmetic of bfloat16, whatever this machine's CPU has; memory on the stack; blends."""

import numpy as np
import pytest
import torch

from whorl.model import team
from whorl.model.steps import Kind
from whorl.model.tile import COLUMNS, ROWS, blend, exact, stack, tile

pytestmark = pytest.mark.skipif(not team.can_run(), reason="torch runs on other threads here")
BF16 = torch.bfloat16
_widened = tile(Kind(16, 16))
_native = tile(Kind(16, 16, is_dot=team.HAS_BFLOAT))
_blended = blend(16)
_room = stack(8)


@exact
def _work(p):
    if p[9]:
        _native((p[4], p[5], p[6], p[7], p[5], p[2], p[8], p[7], p[10], p[11], np.int64(0)))
    else:
        _widened((p[4], p[5], p[6], p[7], p[5], p[2], p[8], p[7], p[10], p[11], np.int64(0)))


@team.Loop
def _TILE(p):  # noqa: N802
    first, end = team.claimed(p)
    if first < end:
        _work(p)


@exact
def _mix(p):
    _blended((p[4], p[5], p[2], p[6], p[7], p[8], p[9], p[10], p[11]))


@team.Loop
def _BLEND(p):  # noqa: N802
    first, end = team.claimed(p)
    if first < end:
        _mix(p)


@team.Loop
def _ROOM(p):  # noqa: N802
    mine = team.floats(_room(), 1, 8)
    for i in range(8):
        mine[0, i] = i
    team.floats(p[4], 1, 1)[0, 0] = mine[0, :].sum()


def products(x, w, *, is_native):
    """x w^T by one tile, float32."""
    out = torch.zeros(COLUMNS, -(-len(w) // ROWS) * ROWS)
    _TILE.run(len(w), len(w), x, 2 * x.shape[1], len(x), w, x.shape[1], int(is_native), out, 4 * out.shape[1])
    return out[: len(x), : len(w)]


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(BF16)


@pytest.mark.parametrize("is_native", [False, True])
@pytest.mark.parametrize("count", [1, 31, 32, 100, 768])
def test_sums_are_those_of_exact_products(is_native, count):
    x, w = drawn(3, count), drawn(7, count, seed=1)
    found = products(x, w, is_native=is_native)
    exact_sums = x.double() @ w.double().T
    # Every product is exact; each of the additions rounds to 24 bits.
    assert (found - exact_sums).abs().max() <= 2.0**-24 * count * exact_sums.abs().max().clamp(min=1)


@pytest.mark.parametrize("is_native", [False, True])
def test_a_vector_has_the_same_sums_in_any_company(is_native):
    x, w = drawn(COLUMNS, 90), drawn(9, 90, seed=1)
    together = products(x, w, is_native=is_native)
    for number in range(COLUMNS):
        for others in (1, 2, 3):
            few = x[number : number + others] if number + others <= COLUMNS else x[number : number + 1]
            assert torch.equal(products(few, w, is_native=is_native)[0], together[number])
    for row in range(len(w)):
        assert torch.equal(products(x, w[row : row + 1].clone(), is_native=is_native)[:, 0], together[:, row])


def test_what_is_not_a_number_stays_in_its_row_and_vector():
    x, w = drawn(2, 40), drawn(5, 40, seed=1)
    x[1, 3] = float("nan")
    w[4, 39] = float("inf")
    found = products(x, w, is_native=True)
    assert found[0].isfinite().tolist() == [True, True, True, True, False]
    assert not found[1].isfinite().any()


@pytest.mark.parametrize(("width", "sums"), [(64, 1), (64, 4), (16, 3)])
def test_a_blend_adds_to_what_stands_there(width, sums):
    rows, weights, out = drawn(11, width), torch.rand(sums, 11), torch.ones(sums, width)
    _BLEND.run(11, 11, rows, 2 * width, weights, 4 * 11, sums, width, out, 4 * width)
    torch.testing.assert_close(out, 1 + weights @ rows.float(), atol=1e-5, rtol=1e-5)


def test_a_stack_is_ones_own():
    out = torch.zeros(1)
    _ROOM.run(1, 1, out)
    assert out.item() == 28.0
