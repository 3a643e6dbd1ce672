"""model/steps: how a stretch of a matrix row meets a stretch of a vector, for each way of storing numbers, as machine code.

Rows are bfloat16, float32, int8, or four-bit levels (`FOUR`); vectors bfloat16 or float32. Where the CPU multiplies pairs of
bfloat16 (avx512_bf16) and vectors are bfloat16 it does: products are exact, pairs and running sums float32, numbers below
2^-126 taken as 0. Elsewhere each weight is widened and multiplied in float32. One machine always takes the same. Emits steps
only: loops are model/tile.

Layout of FOUR: a row is blocks of 64 bytes, then a scale for each group of 32 numbers, float32, then a middle for each,
bfloat16, their count filled up to a multiple of 16. Word j of a block holds numbers j, 32 + j, 64 + j and 96 + j of the
block's 128, four bits each from the lowest up: a number is scale * (level - 8) + middle. Middles meet the sums of the vectors'
groups.
"""

from typing import Any, Final, NamedTuple

from llvmlite import binding, ir  # type: ignore[import-untyped]
from numba.core import cgutils as _cgutils

__all__ = [
    "FLOATS",
    "FOUR",
    "HAS_DOT",
    "LANES",
    "LINE",
    "Kind",
    "Side",
    "add_middles",
    "added",
    "cgutils",
    "loaded",
    "multiply",
    "spread",
]

cgutils: Any = _cgutils  # untyped
LANES: Final = 16  # float32 numbers of a register
LINE: Final = 64  # bytes of a cache line, and of a row in one step
FOUR: Final = 4  # bits
_GROUP: Final = 32  # numbers that share a scale
_ZERO_LEVEL: Final = 8

_I8, _I16, _I32, _I64, _F32 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()
FLOATS: Any = ir.VectorType(_F32, LANES)
_INTS: Any = ir.VectorType(_I32, LANES)
_WORDS: Any = ir.VectorType(_I16, 2 * LANES)


class _BFloat(ir.Type):  # type: ignore[misc]
    """LLVM's bfloat, which llvmlite does not name."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


_PAIRS: Any = ir.VectorType(_BFloat(), 2 * LANES)
HAS_DOT: Final = bool(binding.get_host_cpu_features().get("avx512bf16", False))


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
    """Rows of vectors or of the matrix: their addresses, bits of a number, and the number where the step begins."""

    at: list[Any]
    bits: int
    first: Any
    blocks: Any = None  # of a row, of FOUR

    def load(self, b: Any, row: int, after: int, kind: Any) -> Any:  # noqa: ANN401
        """What stands so many numbers after the step's first."""
        place = b.add(self.first, ir.Constant(_I64, after))
        offset = b.lshr(place, ir.Constant(_I64, 1)) if self.bits == FOUR else b.mul(place, ir.Constant(_I64, self.bits // 8))
        return b.load(b.inttoptr(b.add(self.at[row], offset), kind.as_pointer()), align=max(1, self.bits // 8))


def multiply(b: Any, kind: Kind, sums: list[list[Any]], vectors: Side, matrix: Side) -> None:  # noqa: ANN401
    """Add the products of one step to sums[vector][row], which are places of registers."""
    if kind.w_bits == FOUR:
        for group in range(kind.step // _GROUP):
            _multiply_group(b, kind, sums, vectors, matrix, group)
        return
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
        return _call(b, "llvm.x86.avx512bf16.cvtne2ps2bf16.512", _PAIRS, high, low)
    return _widened(b, side, row, after)


def added(b: Any, kind: Kind, total: Any, row: Any, vector: Any) -> Any:  # noqa: ANN401
    """total + row * vector."""
    if kind.is_dot:
        return _call(b, "llvm.x86.avx512bf16.dpbf16ps.512", FLOATS, total, row, vector)
    return _call(b, "llvm.fmuladd.v16f32", FLOATS, row, vector, total)


def spread(b: Any, number: Any) -> Any:  # noqa: ANN401
    """A register of the same number everywhere."""
    kind = ir.VectorType(number.type, LANES)
    one = b.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(_I32, 0))
    return b.shuffle_vector(one, one, ir.Constant(_INTS, [0] * LANES))


def _widened(b: Any, side: Side, row: int, after: int) -> Any:  # noqa: ANN401
    """Sixteen numbers in float32."""
    if side.bits == 32:
        return side.load(b, row, after, FLOATS)
    if side.bits == 8:
        return b.sitofp(b.sext(side.load(b, row, after, ir.VectorType(_I8, LANES)), _INTS), FLOATS)
    wide = b.zext(side.load(b, row, after, ir.VectorType(_I16, LANES)), _INTS)
    return b.bitcast(b.shl(wide, ir.Constant(_INTS, [16] * LANES)), FLOATS)


def _multiply_group(b: Any, kind: Kind, sums: list[list[Any]], vectors: Side, matrix: Side, group: int) -> None:  # noqa: ANN401
    """scale * (levels times numbers), for a group of each row."""
    parts = [_levels(b, kind, matrix.load(b, row, 0, _WORDS), group) for row in range(len(matrix.at))]
    scales = [_scale(b, matrix, row, group) for row in range(len(matrix.at))]
    width = _GROUP // len(parts[0])
    for column, line in enumerate(sums):
        xs = [loaded(b, kind, vectors, column, _GROUP * group + width * half) for half in range(len(parts[0]))]
        for place, levels, scale in zip(line, parts, scales, strict=True):
            part = _dotted(b, kind, levels, xs)
            b.store(added(b, kind._replace(is_dot=False), b.load(place), scale, part), place)


def add_middles(b: Any, sums: list[list[Any]], group_sums: Side, matrix: Side) -> None:  # noqa: ANN401
    """Add middle * (sum of the vector's group) for sixteen groups of FOUR, from the `first` of both sides on."""
    start = b.mul(matrix.blocks, ir.Constant(_I64, LINE + 16))
    middles = Side([b.add(row, start) for row in matrix.at], 16, matrix.first)
    rows = [_widened(b, middles, row, 0) for row in range(len(middles.at))]
    for column, line in enumerate(sums):
        vector = _widened(b, group_sums, column, 0)
        for place, row in zip(line, rows, strict=True):
            b.store(added(b, Kind(32, 16), b.load(place), row, vector), place)


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
        return [b.bitcast(_call(b, "llvm.x86.avx512.permvar.hi.512", _WORDS, table, found), _PAIRS)]
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


def _scale(b: Any, matrix: Side, row: int, group: int) -> Any:  # noqa: ANN401
    """A register of the scale of a group."""
    start = b.mul(matrix.blocks, ir.Constant(_I64, LINE))
    offset = b.add(b.lshr(matrix.first, ir.Constant(_I64, 3)), ir.Constant(_I64, 4 * group))  # 4 bytes for 32 numbers
    address = b.add(b.add(matrix.at[row], start), offset)
    return spread(b, b.load(b.inttoptr(address, _F32.as_pointer()), align=4))


def _call(b: Any, name: str, result: Any, *given: Any) -> Any:  # noqa: ANN401
    """An instruction that has no sign of its own."""
    signature = ir.FunctionType(result, [one.type for one in given])
    return b.call(cgutils.get_or_insert_function(b.module, signature, name), given)
