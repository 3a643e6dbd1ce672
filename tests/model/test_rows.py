"""Rows between two products against the formulas in float64: every stretch, broken numbers, rows alone and together."""

import numba
import numpy as np
import pytest
import torch

from whorl.model import lanes, rows
from whorl.model.seen import seen_bytes

pytestmark = pytest.mark.skipif(not lanes.has_pairs(), reason="this processor does not round to bfloat16")

WIDTH = 192
SCALE = 0.25


def drawn(count, seed=0, scale=3.0):
    return (np.random.default_rng(seed).standard_normal((count, WIDTH)) * scale).astype(np.float32)


def rounded(values):
    return torch.tensor(values, dtype=torch.float32).bfloat16()


def as_bfloat16(words):
    return torch.from_numpy(words.view(np.int16)).view(torch.bfloat16)


@numba.njit
def _softened(scores, out, mask, begin, scale, together):
    width, place = scores.shape[1], mask.ctypes.data
    if together:
        wide = mask.shape[1]
        rows.soften_rows(scores.ctypes.data, width * 4, out.ctypes.data, width * 2, place, wide, begin, width, scale)
    else:
        for r in range(len(scores)):
            look = place + r * mask.shape[1]
            rows.soften_row(scores[r].ctypes.data, 0, out[r].ctypes.data, 0, look, 0, begin, width, scale)


def softened(scores, stretches, begin=0, is_together=True):
    seen = torch.zeros(1, len(scores), begin + WIDTH, dtype=torch.bool)
    for r, (first, end) in enumerate(stretches):
        seen[0, r, first:end] = True
    out = torch.full(scores.shape, 7, dtype=torch.int16).numpy().view(np.uint16)  # torch's memory begins at whole lines
    given = scores.copy()
    _softened(given, out, seen_bytes(seen)[0].numpy(), begin, np.float32(SCALE), is_together)
    assert np.array_equal(given.view(np.uint16)[:, :WIDTH], out)
    return as_bfloat16(out), seen[0, :, begin:]


STRETCHES = [(0, 1), (0, WIDTH), (17, 150), (191, 192)]


@pytest.mark.parametrize("begin", [0, 64])
def test_softmax_over_a_stretch_is_rounded_once_and_zero_outside(begin):
    scores = drawn(4)
    found, seen = softened(scores, [(first + begin, end + begin) for first, end in STRETCHES], begin)
    exact = (torch.tensor(scores).double() * SCALE).masked_fill(~seen, float("-inf")).softmax(-1)
    assert (found[~seen] == 0).all()
    assert ((found.double() - exact).abs() <= 2**-8 * exact).all()


def test_rows_together_and_alone_are_the_same_bits():
    scores = drawn(4, seed=1)
    together, _ = softened(scores, STRETCHES)
    alone, _ = softened(scores, STRETCHES, is_together=False)
    assert torch.equal(together, alone)


def test_a_row_that_sees_nothing_is_zero_beside_rows_that_see():
    scores = drawn(4, seed=2)
    scores[1] = np.nan
    found, _ = softened(scores, [(0, 64), (0, 0), (3, 5), (9, 9)])
    assert (found[[1, 3]] == 0).all()
    assert found[[0, 2]].float().sum(-1).sub(1).abs().max() < 0.01


@pytest.mark.parametrize("broken", [np.nan, np.inf])
@pytest.mark.parametrize("is_together", [True, False])
def test_what_is_not_finite_spreads_over_its_row_if_it_is_seen(broken, is_together):
    scores = drawn(4, seed=3)
    scores[0, 100] = scores[1, 100] = scores[2, 0] = broken
    found, seen = softened(scores, [(0, 100), (0, 101), (0, 192), (5, 9)], is_together=is_together)
    assert not found[1][seen[1]].isfinite().any()
    assert not found[2].isfinite().any()
    assert found[[0, 3]].isfinite().all()


def test_what_lies_far_below_the_largest_vanishes_and_equal_scores_share_equally():
    scores = np.full((4, WIDTH), 1000.0, np.float32)
    scores[0, 1:] = -1e30
    scores[1, 1:] = -np.inf
    scores[2, 128:] = 1000.0 - 86 / SCALE
    found, _ = softened(scores, [(0, 192), (0, 192), (0, 192), (10, 74)])
    assert found[:2].tolist() == [[1.0, *[0.0] * 191]] * 2
    assert (found[2, :128] == 2**-7).all()
    assert found[2, 128:].max() < 1e-36
    assert (found[3, 10:74] == 2**-6).all()


@numba.njit
def _sloped(grads, weights, out, strips, scale):
    width, tall = grads.shape[1], len(grads)
    places = grads.ctypes.data, width * 4, weights.ctypes.data, width * 2, out.ctypes.data, width * 2
    pairs = strips[0].ctypes.data, strips[1].ctypes.data, strips.shape[2] * strips.shape[3] * 4
    if tall == 4:
        rows.slope_rows(*places, *pairs, width, scale)
    elif tall == 2:
        rows.slope_two(*places, *pairs, width, scale)
    else:
        rows.slope_one(*places, *pairs, width, scale)


def sloped(grads, weights):
    """Slopes, and slopes and weights as they stand in strips: (2, columns / 16, pairs, 16 columns, 2 rows)."""
    deep = (len(grads) + 1) // 2
    out, strips = np.full(grads.shape, 7, np.uint16), np.zeros((2, WIDTH // 16, deep, 16), np.int32)
    words = weights.view(torch.int16).numpy().view(np.uint16)
    _sloped(grads.copy(), words.copy(), out, strips, np.float32(SCALE))
    return as_bfloat16(out), as_bfloat16(strips.view(np.uint16)).view(2, WIDTH // 16, deep, 16, 2)


@pytest.mark.parametrize("tall", [1, 2, 4])
def test_slopes_are_those_of_softmax_and_stand_in_rows_and_in_pairs_of_rows(tall):
    grads, weights = drawn(tall, seed=4), rounded(drawn(tall, seed=5)).float().softmax(-1).bfloat16()
    found, strips = sloped(grads, weights)
    wide, exact = torch.tensor(grads).double(), weights.double()
    wanted = SCALE * exact * (wide - (wide * exact).sum(-1, keepdim=True))
    assert ((found.double() - wanted).abs() <= 2**-8 * wanted.abs() + 1e-7 * exact).all()
    for lines, strip in zip((found, weights), strips, strict=True):
        stacked = strip.permute(1, 3, 0, 2).reshape(-1, WIDTH)  # pairs and rows, then columns
        assert torch.equal(stacked[:tall], lines)
        assert (stacked[tall:] == 0).all()


def test_slopes_of_rows_together_and_alone_are_the_same_bits():
    grads, weights = drawn(4, seed=6), rounded(drawn(4, seed=7)).float().softmax(-1).bfloat16()
    together, _ = sloped(grads, weights)
    assert torch.equal(together, torch.cat([sloped(grads[r : r + 1], weights[r : r + 1])[0] for r in range(4)]))
    assert torch.equal(together[:2], sloped(grads[:2], weights[:2])[0])
