"""model/fours: matrices in four bits a number: laid out for the loops of model/few, and brought back.

Groups of 32 numbers of a row share a scale and a middle: sixteen even steps from the least of the group to its greatest, each
number rounded to the nearest. The layout is told in model/steps (FOUR). Multiplies nothing.
"""

from typing import Final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from whorl.model.team import Loop, claimed, floats, inline, narrow, wide, words

__all__ = ["BLOCK", "GROUP", "four_bit_rows", "widened_rows"]

GROUP: Final = 32  # numbers of a row that share their scale and middle
BLOCK: Final = 128  # numbers of a row in a block
_LINE: Final = 64  # bytes of its words
_MIDDLES: Final = 16  # a row's are a multiple of so many
_ZERO_LEVEL: Final = 8
_TINY: Final = 1e-30  # scale of what is all equal


def four_bit_rows(weight: Float[Tensor, "o i"]) -> UInt8[Tensor, "o bytes"]:
    """The matrix in the layout of model/steps.FOUR. A group's least and greatest number become its first and last level."""
    o, i = weight.shape
    blocks = -(-i // BLOCK)
    groups = functional.pad(weight, (0, blocks * BLOCK - i)).view(o, -1, GROUP)
    is_held = torch.arange(blocks * BLOCK).view(-1, GROUP) < i
    low = groups.masked_fill(~is_held, float("inf")).amin(-1).where(is_held.any(-1), 0.0)
    high = groups.masked_fill(~is_held, float("-inf")).amax(-1).where(is_held.any(-1), 0.0)
    scale = ((high - low) / 15).clamp(min=_TINY).bfloat16()
    middle = (low + _ZERO_LEVEL * scale.float()).bfloat16()
    levels = ((groups - middle.float().unsqueeze(-1)) / scale.float().unsqueeze(-1)).round() + _ZERO_LEVEL
    fours = levels.clamp(0, 15).to(torch.int32).view(o, blocks, 4, GROUP)
    words = (fours << torch.arange(0, 16, 4).view(4, 1)).sum(2).to(torch.uint16)  # o blocks 32
    middles = functional.pad(middle, (0, -middle.shape[1] % _MIDDLES))
    parts = (words.flatten(1), scale.float().contiguous(), middles)
    return torch.cat([part.contiguous().view(torch.uint8) for part in parts], dim=1)


def widened_rows(rows: UInt8[Tensor, "o bytes"], in_dim: int, dtype: torch.dtype) -> Float[Tensor, "o i"]:
    """The matrix that was laid out so, in bfloat16 (rounded once) or float32 (exact up to the rounding of a sum)."""
    out = torch.empty(len(rows), in_dim, dtype=dtype)
    _WIDEN.run(len(rows), 16, rows, out, rows.shape[1], in_dim, int(dtype is torch.float32))
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
    i, address = p[7], p[4] + row * p[6]
    for group in range((i + GROUP - 1) // GROUP):
        begin, end = group * GROUP, min(i, group * GROUP + GROUP)
        if p[8]:
            _widen(address, i, group, floats(p[5], p[2], i)[row, begin:end])
        else:
            _narrow(address, i, group, words(p[5], p[2], i)[row, begin:end])


@inline
def _numbers(row, i, group):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Words that hold a group's levels, how far up they stand in them, its scale, its middle."""
    blocks = (i + BLOCK - 1) // BLOCK
    held = words(row + group // 4 * _LINE, 1, GROUP)[0]
    scale = floats(row + blocks * _LINE + 4 * group, 1, 1)[0, 0]
    middle = wide(words(row + blocks * (_LINE + 16) + 2 * group, 1, 1)[0, 0])
    return held, np.uint16(4 * (group % 4)), scale, middle


@inline
def _widen(row, i, group, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    held, shift, scale, middle = _numbers(row, i, group)
    for j in range(len(out)):
        out[j] = scale * np.float32(np.int32((held[j] >> shift) & np.uint16(15)) - np.int32(_ZERO_LEVEL)) + middle


@inline
def _narrow(row, i, group, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    held, shift, scale, middle = _numbers(row, i, group)
    for j in range(len(out)):
        level = np.int32((held[j] >> shift) & np.uint16(15)) - np.int32(_ZERO_LEVEL)
        out[j] = narrow(scale * np.float32(level) + middle)
