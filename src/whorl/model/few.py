"""model/few: products of a few rows with a matrix, as fast as the matrix can be read: what decoding spends its time on.

A row's result depends on that row and the matrix alone, to the last bit: not on how many rows come along and not on the number
of threads. Sums are float32 (model/tile says how) and are rounded once. Many rows are not this room's: torch multiplies those
faster. Packs nothing: the matrix is read as it lies.
"""

from array import array
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from whorl.model.layers import cast
from whorl.model.team import HEAD, Loop, can_run, claimed, floats, inline, narrow, words
from whorl.model.tile import COLUMNS, HAS_DOT, ROWS, Kind, stack, tile

__all__ = ["FEW", "Few", "few_product"]

FEW: Final = 16  # rows: beyond, torch's blocked product is as fast or faster (measured; see docs/log.md)
_CHUNK: Final = 1 << 16  # bytes of the matrix a thread claims at a time
_X, _OUT, _N, _KIND = HEAD, HEAD + 1, HEAD + 2, HEAD + 8  # what differs from call to call


class Few:
    """x -> x W^T (+ b) for a few rows and one matrix, with all that does not change between calls prepared.

    Calls may overlap. Wants a contiguous matrix in this machine's memory, bfloat16 or float32; `can_take` tells.
    """

    def __init__(
        self, weight: Float[Tensor, "o i"], *, bias: Float[Tensor, " o"] | None = None, out_dtype: torch.dtype
    ) -> None:
        assert can_take(weight), "who prepares a product has asked can_take"
        assert out_dtype in (torch.bfloat16, torch.float32), f"out_dtype is {out_dtype}, want bfloat16 or float32"
        self._weight, self._bias = weight, None if bias is None else bias.float().contiguous()
        self.out_dim, self.in_dim = weight.shape
        self.out_dtype = out_dtype
        tiles = -(-self.out_dim // ROWS)
        chunk = max(1, _CHUNK // (ROWS * self.in_dim * weight.element_size()))
        address = 0 if self._bias is None else self._bias.data_ptr()
        own = (0, 0, 0, weight.data_ptr(), address, self.out_dim, self.in_dim, int(out_dtype is torch.float32))
        self._numbers = array("q", (0, 0, tiles, chunk, *own, 0))

    def __call__(self, x: Float[Tensor, "... i"]) -> Float[Tensor, "... o"]:
        """The product. bfloat16 with a bfloat16 matrix, else float32; a float32 matrix takes float32 only."""
        given = x.contiguous()
        out = given.new_empty((*x.shape[:-1], self.out_dim), dtype=self.out_dtype)
        numbers = self._numbers[:]  # its own copy: threads write to it
        numbers[_X], numbers[_OUT], numbers[_N] = given.data_ptr(), out.data_ptr(), given.numel() // self.in_dim
        numbers[_KIND] = _KINDS[x.dtype, self._weight.dtype]
        _PRODUCT.start(numbers)
        return out


def few_product(
    x: Float[Tensor, "n i"], weight: Float[Tensor, "o i"], *, bias: Float[Tensor, " o"] | None = None, out_dtype: torch.dtype
) -> Float[Tensor, "n o"]:
    """x W^T (+ b), rounded once; where no loop can run, by torch in float32, which does not keep rows apart."""
    if can_take(weight) and x.device.type == "cpu" and (x.dtype, weight.dtype) in _KINDS:
        return Few(weight, bias=bias, out_dtype=out_dtype)(x)
    return functional.linear(x.float(), weight.float(), cast(bias, torch.float32)).to(out_dtype)


def can_take(weight: Tensor) -> bool:
    """Whether loops can read the matrix: plain, contiguous, in this machine's memory, bfloat16 or float32."""
    runs = can_run(torch.empty(0, dtype=torch.bfloat16, device=weight.device))
    return runs and weight.is_contiguous() and weight.dtype in (torch.bfloat16, torch.float32)


_PAIRS, _WIDENED, _MIXED, _FULL = range(4)  # kinds of product, as the loop is told
_pairs, _widened, _mixed, _full = tile(Kind(2, 2, is_dot=HAS_DOT)), tile(Kind(2, 2)), tile(Kind(4, 2)), tile(Kind(4, 4))
_sums = stack(COLUMNS * ROWS)
_KINDS: Mapping[tuple[torch.dtype, torch.dtype], int] = {  # vectors, matrix
    (torch.bfloat16, torch.bfloat16): _PAIRS if HAS_DOT else _WIDENED,
    (torch.float32, torch.bfloat16): _MIXED,
    (torch.float32, torch.float32): _FULL,
}


@Loop
def _PRODUCT(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802 - compiled, here and below
    """Four rows of the matrix at a time with all vectors, while the rows after them are asked for."""
    n, o, i, w_stride = p[6], p[9], p[10], p[10] * (np.int64(4) if p[12] == _FULL else np.int64(2))
    lines = np.int64(4) if n <= COLUMNS else np.int64(2) if n <= 3 * COLUMNS else np.int64(1)
    first, end = claimed(p)
    while first < end:
        for row in range(first * ROWS, min(end * ROWS, o), ROWS):
            ask = p[7] + (row + ROWS) * w_stride
            for column in range(0, n, COLUMNS):
                _four(p, row, column, ask, lines)
                ask += lines * w_stride
        first, end = claimed(p)


@inline
def _four(p, row, column, ask, lines):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Four rows with four vectors."""
    n, o, i, kind, sums = p[6], p[9], p[10], p[12], _sums()
    num_x, num_w = min(COLUMNS, n - column), min(ROWS, o - row)
    x_stride = i * (np.int64(4) if kind >= _MIXED else np.int64(2))
    w_stride = i * (np.int64(4) if kind == _FULL else np.int64(2))
    x, w = p[4] + column * x_stride, p[7] + row * w_stride
    if kind == _PAIRS:
        _pairs(x, x_stride, num_x, w, w_stride, num_w, i, ask, lines, sums, np.int64(4 * ROWS))
    elif kind == _WIDENED:
        _widened(x, x_stride, num_x, w, w_stride, num_w, i, ask, lines, sums, np.int64(4 * ROWS))
    elif kind == _MIXED:
        _mixed(x, x_stride, num_x, w, w_stride, num_w, i, ask, lines, sums, np.int64(4 * ROWS))
    else:
        _full(x, x_stride, num_x, w, w_stride, num_w, i, ask, lines, sums, np.int64(4 * ROWS))
    _keep(p, floats(sums, COLUMNS, ROWS)[:num_x, :num_w], row, column)


@inline
def _keep(p, sums, row, column):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Add the bias and round."""
    n, o = p[6], p[9]
    for c in range(sums.shape[0]):
        for r in range(sums.shape[1]):
            total = sums[c, r]
            if p[8]:
                total += floats(p[8], 1, o)[0, row + r]
            if p[11]:
                floats(p[5], n, o)[column + c, row + r] = total
            else:
                words(p[5], n, o)[column + c, row + r] = narrow(total)
