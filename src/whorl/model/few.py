"""model/few: products of a few rows with a matrix, as fast as the matrix can be read: what decoding spends its time on.

A row's result depends on that row and the matrix alone, to the last bit: not on how many rows come along and not on the number
of threads. Sums are float32 (model/tile says how) and are rounded once. Many rows are not this room's: torch multiplies those
faster. Packs nothing: the matrix is read as it lies.
"""

from array import array
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from whorl.model.layers import cast
from whorl.model.steps import FOUR, Kind
from whorl.model.team import HAS_BFLOAT, HEAD, Loop, can_run, claimed, floats, inline, narrow, wide, words
from whorl.model.tile import COLUMNS, ROWS, exact, stack, tile

__all__ = ["FEW", "Few", "Stored", "can_take", "few_product"]

FEW: Final = 16  # rows: beyond, torch's blocked product is as fast or faster (measured; see docs/log.md)
MAX_FOURS: Final = 1 << 19  # numbers of all vectors, of a product with four-bit rows: threads sum their groups on their stacks
_BLOCK: Final = 64  # rows multiplied before their sums are rounded and written
_NEAR: Final = 1 << 14  # bytes of rows that stay in the first cache while more than four vectors pass
_AHEAD: Final = 12_288  # bytes: so far before it is read memory is asked for
_CHUNK: Final = 1 << 18  # bytes of the matrix a thread claims at a time; of 1 << 16 a fifth is read before it was asked for
_X, _OUT, _N, _KIND = HEAD, HEAD + 1, HEAD + 2, HEAD + 3  # what differs from call to call


class Stored(NamedTuple):
    """A matrix as loops read it: bfloat16 or float32 (o i); int8 (o i), with a float32 scale for each row; or uint8 laid out as
    model/steps.FOUR says, (o rounded up to fours, bytes of a quarter of four rows)."""

    rows: Tensor
    shape: tuple[int, int]  # o i
    scale: Float[Tensor, " o"] | None = None


class Few:
    """x -> x W^T (+ b) for a few rows and one matrix, all that does not change between calls prepared. Calls may overlap."""

    def __init__(self, matrix: Stored, *, bias: Float[Tensor, " o"] | None = None, out_dtype: torch.dtype) -> None:
        assert can_take(matrix.rows), "who prepares a product has asked can_take"
        assert out_dtype in (torch.bfloat16, torch.float32), f"out_dtype is {out_dtype}, want bfloat16 or float32"
        self._matrix, self._bias = matrix, None if bias is None else bias.float().contiguous()
        self.out_dim, self.in_dim = matrix.shape
        self.out_dtype = out_dtype
        row_bytes = matrix.rows.stride(0) * matrix.rows.element_size()
        addresses = (0 if one is None else one.data_ptr() for one in (matrix.rows, self._bias, matrix.scale))
        own = (*addresses, self.out_dim, self.in_dim, row_bytes, int(out_dtype is torch.float32))
        head = (0, 0, -(-self.out_dim // ROWS), max(1, _CHUNK // (ROWS * row_bytes)))
        self._numbers = array("q", (*head, 0, 0, 0, 0, *own))

    def __call__(self, x: Float[Tensor, "... i"]) -> Float[Tensor, "... o"]:
        """The product, of bfloat16 or float32; a float32 matrix takes float32 only."""
        given = x.contiguous()
        out = given.new_empty((*x.shape[:-1], self.out_dim), dtype=self.out_dtype)
        numbers = self._numbers[:]  # its own copy: threads write to it
        numbers[_X], numbers[_OUT], numbers[_N] = given.data_ptr(), out.data_ptr(), given.numel() // self.in_dim
        numbers[_KIND] = _KINDS[x.dtype, self._matrix.rows.dtype]
        _PRODUCT.start(numbers)
        return out


def few_product(
    x: Float[Tensor, "n i"], weight: Float[Tensor, "o i"], *, bias: Float[Tensor, " o"] | None = None, out_dtype: torch.dtype
) -> Float[Tensor, "n o"]:
    """x W^T (+ b), rounded once; where no loop can run, by torch in float32, which does not keep rows apart."""
    if can_take(weight) and x.device.type == "cpu" and (x.dtype, weight.dtype) in _KINDS:
        return Few(Stored(weight, (weight.shape[0], weight.shape[1])), bias=bias, out_dtype=out_dtype)(x)
    return functional.linear(x.float(), weight.float(), cast(bias, torch.float32)).to(out_dtype)


def can_take(rows: Tensor) -> bool:
    """Whether loops can read the matrix: contiguous, in this machine's memory, of a kind they know."""
    is_known = any(rows.dtype is known for _, known in _KINDS)
    return rows.device.type == "cpu" and can_run() and rows.is_contiguous() and is_known


_NARROW, _EIGHT, _FOUR, _MIXED, _FULL, _EIGHT_MIXED, _FOUR_MIXED = range(7)  # kinds, as the loop is told
_KINDS: Mapping[tuple[torch.dtype, torch.dtype], int] = {  # vectors, matrix
    (torch.bfloat16, torch.bfloat16): _NARROW,
    (torch.bfloat16, torch.int8): _EIGHT,
    (torch.bfloat16, torch.uint8): _FOUR,
    (torch.float32, torch.bfloat16): _MIXED,
    (torch.float32, torch.float32): _FULL,
    (torch.float32, torch.int8): _EIGHT_MIXED,
    (torch.float32, torch.uint8): _FOUR_MIXED,
}


def _lines(bits: int) -> int:
    """Of memory that four rows take in a step."""
    return ROWS + (bits == FOUR)


_narrow, _eight, _four = (tile(Kind(16, bits, is_dot=HAS_BFLOAT), lines=_lines(bits)) for bits in (16, 8, FOUR))
_mixed, _full, _eight_mixed, _four_mixed = (tile(Kind(32, bits), lines=_lines(bits)) for bits in (16, 32, 8, FOUR))
_sums, _group_sums = stack(COLUMNS * (_BLOCK + ROWS)), stack(MAX_FOURS // 32)


@Loop
def _PRODUCT(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802 - compiled, here and below
    """A block of rows at a time with four vectors after four, while rows further on are asked for."""
    n, w, o, w_stride = p[6], p[8], p[11], p[13]
    block = np.int64(_BLOCK) if n <= COLUMNS else max(ROWS, min(np.int64(_BLOCK), _NEAR // w_stride // ROWS * ROWS))
    groups = _group_sums()
    if p[7] == _FOUR or p[7] == _FOUR_MIXED:
        _sum_groups(p, floats(groups, n, _num_groups(p[12])))
    first, end = claimed(p)
    while first < end:
        for row in range(first * ROWS, min(end * ROWS, o), block):
            num_w = min(block, min(end * ROWS, o) - row)
            asked = w + row * w_stride + (np.int64(_AHEAD) if n <= COLUMNS else block * w_stride)
            for column in range(0, n, COLUMNS):
                _tile(p, row, num_w, column, asked, groups)
                asked += block * w_stride // 2
        first, end = claimed(p)


@exact
def _tile(p, row, num_w, column, asked, groups):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """A block of rows with four vectors."""
    kind, i, w_stride, sums, line = p[7], p[12], p[13], _sums(), np.int64(4 * (_BLOCK + ROWS))
    num_x, groups = min(COLUMNS, p[6] - column), groups + 4 * column * _num_groups(i)
    x_stride = i * (np.int64(4) if kind >= _MIXED else np.int64(2))
    x, w = p[4] + column * x_stride, p[8] + row * w_stride
    given = (x, x_stride, num_x, w, w_stride, num_w, i, asked, sums, line, groups)
    if kind == _NARROW:
        _narrow(given)
    elif kind == _EIGHT:
        _eight(given)
    elif kind == _FOUR:
        _four(given)
    elif kind == _MIXED:
        _mixed(given)
    elif kind == _FULL:
        _full(given)
    elif kind == _EIGHT_MIXED:
        _eight_mixed(given)
    else:
        _four_mixed(given)
    for c in range(num_x):
        _keep(p, floats(sums, COLUMNS, _BLOCK + ROWS)[c, :num_w], row, column + c)


@inline
def _num_groups(i):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Of a row of FOUR."""
    return (i + 127) // 128 * 4


@inline
def _sum_groups(p, sums):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Of each vector, the sums of the numbers of each group."""
    n, i = p[6], p[12]
    for c in range(n):
        for g in range(sums.shape[1]):
            total, first = np.float32(0), g // 4 * 128 + g % 4 * 8
            for begin in range(first, min(first + 128, i), 32):
                for j in range(begin, min(begin + 8, i)):
                    total += wide(words(p[4], n, i)[c, j]) if p[7] == _FOUR else floats(p[4], n, i)[c, j]
            sums[c, g] = total


@inline
def _keep(p, sums, row, vector):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Scale the rows, add the bias, round."""
    n, o, end = p[6], p[11], row + len(sums)
    if p[10]:
        scale = floats(p[10], 1, o)[0, row:end]
        for r in range(len(sums)):
            sums[r] *= scale[r]
    if p[9]:
        bias = floats(p[9], 1, o)[0, row:end]
        for r in range(len(sums)):
            sums[r] += bias[r]
    if p[14]:
        wide_out = floats(p[5], n, o)[vector, row:end]
        for r in range(len(sums)):
            wide_out[r] = sums[r]
    else:
        out = words(p[5], n, o)[vector, row:end]
        for r in range(len(sums)):
            out[r] = narrow(sums[r])
