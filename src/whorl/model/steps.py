"""model/steps: how a stretch of a matrix row meets a stretch of a vector, for each way of storing numbers, as machine code.

Rows are bfloat16, float32, int8, or four-bit levels (`FOUR`); vectors bfloat16 or float32. Where the CPU multiplies pairs of
bfloat16 (avx512_bf16) and vectors are bfloat16 it does: products are exact, pairs and running sums float32, numbers below
2^-126 taken as 0. Elsewhere each weight is widened and multiplied in float32. One machine always takes the same. Emits steps
only: loops are model/tile.

Layout of FOUR: four rows at a time, and of these 128 columns at a time: a line of 64 bytes for each row, then one of sixteen
scales and sixteen middles, bfloat16, by row and by group. Word j of a row's line holds numbers j, 32 + j, 64 + j and 96 + j,
four bits each from the lowest up; they are of group j // 8: so a register of sums has a group in every four lanes. A number is
scale * (level - 8) + middle. Middles meet the sums of the vectors' groups.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from llvmlite import ir  # type: ignore[import-untyped]

from whorl.model.emit import LANES, call
from whorl.model.team import BFloat

__all__ = [
    "FLOATS",
    "FOUR",
    "LANES",
    "LINE",
    "Kind",
    "Side",
    "added",
    "loaded",
    "multiply",
    "multiply_fours",
]

LINE: Final = 64  # bytes of a cache line, and of a row in one step
FOUR: Final = 4  # bits
_ROWS: Final = 4  # of FOUR, that stand together
_WORD: Final = 4  # numbers in one
_STEP: Final = 128  # columns of a step
_ZERO_LEVEL: Final = 8

_I8, _I16, _I32, _I64, _F32 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()
FLOATS: Any = ir.VectorType(_F32, LANES)
_INTS: Any = ir.VectorType(_I32, LANES)
_ZERO = ir.Constant(_I64, 0)
_WORDS: Any = ir.VectorType(_I16, 2 * LANES)
_PAIRS: Any = ir.VectorType(BFloat(), 2 * LANES)


class Kind(NamedTuple):
    """What is multiplied: bits of a number in vectors (16, 32) and in the matrix (16, 32, 8, FOUR), and whether in pairs."""

    x_bits: int
    w_bits: int
    is_dot: bool = False

    @property
    def step(self) -> int:
        """Numbers of a row worked on at once."""
        return 8 * LINE // self.w_bits


class Side(NamedTuple):
    """Rows of vectors or of the matrix: their addresses, bits of a number, the number where the step begins, and for vectors
    that meet FOUR where the sums of their groups stand, four float32 for every step."""

    at: list[Any]
    bits: int
    first: Any
    groups: Sequence[Any] = ()

    def load(self, b: Any, row: int, after: int, kind: Any) -> Any:  # noqa: ANN401
        """What stands so many numbers after the step's first."""
        if self.bits == FOUR:
            offset = _offset(b, self.first)
        else:
            offset = b.mul(b.add(self.first, ir.Constant(_I64, after)), ir.Constant(_I64, self.bits // 8))
        return b.load(b.inttoptr(b.add(self.at[row], offset), kind.as_pointer()), align=max(1, self.bits // 8))


def multiply(b: Any, kind: Kind, sums: list[list[Any]], vectors: Side, matrix: Side) -> None:  # noqa: ANN401
    """Add the products of one step to sums[vector][row], which are places of registers; see `multiply_fours` for FOUR."""
    width = 2 * LANES if kind.is_dot else LANES
    for after in range(0, kind.step, width):
        rows = [loaded(b, kind, matrix, row, after) for row in range(len(matrix.at))]
        for column, line in enumerate(sums):
            vector = loaded(b, kind, vectors, column, after)
            for place, row in zip(line, rows, strict=True):
                b.store(added(b, kind, b.load(place), row, vector), place)


def loaded(b: Any, kind: Kind, side: Side, row: int, after: int) -> Any:  # noqa: ANN401
    """A register of a row: pairs of bfloat16, or float32."""
    if kind.is_dot and side.bits == 16:
        return b.bitcast(side.load(b, row, after, _WORDS), _PAIRS)
    if kind.is_dot:
        low, high = (_widened(b, side, row, after + half) for half in (0, LANES))
        return call(b, "llvm.x86.avx512bf16.cvtne2ps2bf16.512", _PAIRS, high, low)
    return _widened(b, side, row, after)


def added(b: Any, kind: Kind, total: Any, row: Any, vector: Any) -> Any:  # noqa: ANN401
    """total + row * vector."""
    if kind.is_dot:
        return call(b, "llvm.x86.avx512bf16.dpbf16ps.512", FLOATS, total, row, vector)
    return call(b, "llvm.fmuladd.v16f32", FLOATS, row, vector, total)


def _offset(b: Any, first: Any) -> Any:  # noqa: ANN401
    """Bytes of FOUR before a step: five lines for each that came before."""
    return b.mul(_steps_before(b, first), ir.Constant(_I64, (_ROWS + 1) * LINE))


def _steps_before(b: Any, first: Any) -> Any:  # noqa: ANN401
    return b.lshr(first, ir.Constant(_I64, _STEP.bit_length() - 1))


def _widened(b: Any, side: Side, row: int, after: int) -> Any:  # noqa: ANN401
    """Sixteen numbers in float32."""
    if side.bits == 32:
        return side.load(b, row, after, FLOATS)
    if side.bits == 8:
        return b.sitofp(b.sext(side.load(b, row, after, ir.VectorType(_I8, LANES)), _INTS), FLOATS)
    wide = b.zext(side.load(b, row, after, ir.VectorType(_I16, LANES)), _INTS)
    return b.bitcast(b.shl(wide, ir.Constant(_INTS, [16] * LANES)), FLOATS)


def multiply_fours(b: Any, kind: Kind, sums: list[list[Any]], vectors: Side, matrix: Side) -> None:  # noqa: ANN401
    """One step of FOUR: scale * (levels times numbers) of each row, and in sums[vector][4], four lanes for every row, middles
    times the sums of groups."""
    scales, middles = (
        _widened(b, matrix._replace(bits=16, at=[_scales(b, matrix)], first=_ZERO), 0, half) for half in (0, LANES)
    )
    for row in range(_ROWS):
        words = matrix.load(b, row, 0, _WORDS)
        levels = [_levels(b, kind, words, place) for place in range(_WORD)]
        for half, places in enumerate(_halves(kind, row)):
            scale = b.shuffle_vector(scales, scales, ir.Constant(_INTS, places))
            for column, line in enumerate(sums):
                xs = [loaded(b, kind, vectors, column, 2 * LANES * place + LANES * half) for place in range(_WORD)]
                part = _dotted(b, kind, [one[half] for one in levels], xs)
                b.store(added(b, kind._replace(is_dot=False), b.load(line[row]), scale, part), line[row])
    offset = b.mul(_steps_before(b, matrix.first), ir.Constant(_I64, 4 * _ROWS))
    for line, address in zip(sums, vectors.groups, strict=True):
        own = b.load(b.inttoptr(b.add(address, offset), ir.VectorType(_F32, _ROWS).as_pointer()), align=4)
        everywhere = b.shuffle_vector(own, own, ir.Constant(_INTS, [*range(_ROWS)] * _ROWS))
        b.store(added(b, kind._replace(is_dot=False), b.load(line[_ROWS]), middles, everywhere), line[_ROWS])


def _scales(b: Any, matrix: Side) -> Any:  # noqa: ANN401
    """Where the scales of a step stand: in the line after its rows."""
    return b.add(matrix.at[0], b.add(_offset(b, matrix.first), ir.Constant(_I64, _ROWS * LINE)))


def _halves(kind: Kind, row: int) -> list[list[int]]:
    """Which of sixteen scales a row's lanes meet: of pairs one register, of float32 two."""
    if kind.is_dot:
        return [[_ROWS * row + lane // 4 for lane in range(LANES)]]
    return [[_ROWS * row + 2 * half + lane // 8 for lane in range(LANES)] for half in range(2)]


def _dotted(b: Any, kind: Kind, left: list[Any], right: list[Any]) -> Any:  # noqa: ANN401
    total = ir.Constant(FLOATS, [0.0] * LANES)
    for one, other in zip(left, right, strict=True):
        total = added(b, kind, total, one, other)
    return total


def _levels(b: Any, kind: Kind, words: Any, group: int) -> list[Any]:  # noqa: ANN401
    """The levels of a group, less 8: a register of pairs, or two of float32."""
    found = b.lshr(words, ir.Constant(_WORDS, [FOUR * group] * 2 * LANES))
    if kind.is_dot:  # looked up by their lowest five bits, of which the fifth is the neighbour's
        table = ir.Constant(_WORDS, [_bfloat_bits(level % 16 - _ZERO_LEVEL) for level in range(2 * LANES)])
        return [b.bitcast(call(b, "llvm.x86.avx512.permvar.hi.512", _WORDS, table, found), _PAIRS)]
    alone = b.and_(found, ir.Constant(_WORDS, [15] * 2 * LANES))
    halves = [ir.Constant(_INTS, [*range(begin, begin + LANES)]) for begin in (0, LANES)]
    wide = [b.zext(b.shuffle_vector(alone, alone, half), _INTS) for half in halves]
    return [b.sitofp(b.sub(one, ir.Constant(_INTS, [_ZERO_LEVEL] * LANES)), FLOATS) for one in wide]


def _bfloat_bits(number: int) -> int:
    """Of a whole number from -8 to 7."""
    size = abs(number)
    exponent = size.bit_length() - 1
    mantissa = (size << (7 - exponent)) & 0x7F if size else 0
    return (0x8000 if number < 0 else 0) | ((127 + exponent) << 7 | mantissa if size else 0)
