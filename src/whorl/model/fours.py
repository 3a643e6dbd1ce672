"""model/fours: matrices in four bits a number: laid out for the loops of model/few, and brought back.

Groups of 32 numbers of a row share a scale and a middle: sixteen even steps from the least of the group to its greatest, each
number rounded to the nearest. A group is not a stretch: of 128 columns it has eight of every 32, as the layout in model/steps
(FOUR) wants it. Multiplies nothing.
"""

from typing import Final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from whorl.model.team import Loop, claimed, floats, inline, narrow, wide, words

__all__ = ["BLOCK", "four_bit_rows", "in_groups", "widened_rows"]

BLOCK: Final = 128  # numbers of a row in a block
_GROUPS: Final = 4  # of a block
_RUN: Final = 8  # neighbours of one group
_ROWS: Final = 4  # that stand together
_LINE: Final = 64  # bytes of a row's words in a block, and of four rows' scales and middles
_ZERO_LEVEL: Final = 8
_TINY: Final = 1e-30  # scale of what is all equal


def in_groups(weight: Float[Tensor, "o i"]) -> Float[Tensor, "o blocks 4 32"]:
    """The numbers that share a scale, side by side; zeros where rows end within a block."""
    padded = functional.pad(weight, (0, -weight.shape[1] % BLOCK))
    return padded.view(len(weight), -1, BLOCK // (_GROUPS * _RUN), _GROUPS, _RUN).transpose(2, 3).flatten(3)


def four_bit_rows(weight: Float[Tensor, "o i"]) -> UInt8[Tensor, "rows bytes"]:
    """The matrix in the layout of model/steps.FOUR: rows are filled up to fours, and `bytes` are a quarter of four rows'. A
    group's least and greatest number become its first and last level."""
    weight = functional.pad(weight, (0, 0, 0, -len(weight) % _ROWS))
    groups = in_groups(weight)
    is_held = in_groups(torch.ones(1, weight.shape[1])) > 0
    low = groups.masked_fill(~is_held, float("inf")).amin(-1).where(is_held.any(-1), 0.0)
    high = groups.masked_fill(~is_held, float("-inf")).amax(-1).where(is_held.any(-1), 0.0)
    scale = ((high - low) / 15).clamp(min=_TINY).bfloat16()
    middle = (low + _ZERO_LEVEL * scale.float()).bfloat16()
    levels = ((groups - middle.float().unsqueeze(-1)) / scale.float().unsqueeze(-1)).round() + _ZERO_LEVEL
    fours = levels.clamp(0, 15).to(torch.int32).view(*levels.shape[:3], -1, _RUN)  # rows blocks group place-in-word run
    words = (fours << torch.arange(0, 16, 4).view(4, 1)).sum(3).to(torch.uint16).flatten(2)  # rows blocks 32
    parts = (_together(words), _together(scale), _together(middle))
    return torch.cat([part.view(torch.uint8) for part in parts], dim=2).view(len(weight), -1)


def _together(part: Tensor) -> Tensor:
    """(rows blocks n) as (fours blocks 4n): what four rows have of a block."""
    rows, blocks, count = part.shape
    return part.view(rows // _ROWS, _ROWS, blocks, count).transpose(1, 2).flatten(2).contiguous()


def widened_rows(rows: UInt8[Tensor, "rows bytes"], shape: tuple[int, int], dtype: torch.dtype) -> Float[Tensor, "o i"]:
    """The matrix that was laid out so, in bfloat16 (rounded once) or float32 (exact up to the rounding of a sum)."""
    out = torch.empty(shape, dtype=dtype)
    _WIDEN.run(shape[0], 16, rows, out, rows.shape[1], shape[1], int(dtype is torch.float32))
    return out


@Loop
def _WIDEN(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802 - compiled, here and below
    first, end = claimed(p)
    while first < end:
        for row in range(first, end):
            _widen_row(p, row)
        first, end = claimed(p)


@inline
def _widen_row(p, row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    i, four, r = p[7], p[4] + row // _ROWS * _ROWS * p[6], row % _ROWS
    for begin in range(0, i, BLOCK):
        block = four + begin // BLOCK * ((_ROWS + 1) * _LINE)
        held = words(block + r * _LINE, _GROUPS, _RUN)
        shared = words(block + _ROWS * _LINE, 2, _ROWS * _GROUPS)[:, r * _GROUPS : (r + 1) * _GROUPS]
        for run in range(begin, min(begin + BLOCK, i), _RUN):
            place, group, end = (run - begin) // (_GROUPS * _RUN), (run - begin) // _RUN % _GROUPS, min(run + _RUN, i)
            scale, middle, shift = wide(shared[0, group]), wide(shared[1, group]), np.uint16(4 * place)
            if p[8]:
                _widen(held[group], shift, scale, middle, floats(p[5], p[2], i)[row, run:end])
            else:
                _narrow(held[group], shift, scale, middle, words(p[5], p[2], i)[row, run:end])


@inline
def _level(word, shift):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return np.float32(np.int32((word >> shift) & np.uint16(15)) - np.int32(_ZERO_LEVEL))


@inline
def _widen(held, shift, scale, middle, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for j in range(len(out)):
        out[j] = scale * _level(held[j], shift) + middle


@inline
def _narrow(held, shift, scale, middle, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for j in range(len(out)):
        out[j] = narrow(scale * _level(held[j], shift) + middle)
