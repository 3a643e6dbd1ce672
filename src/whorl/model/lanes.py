"""model/lanes: sixteen numbers at a time: the few steps that products of bfloat16 matrices are made of, as machine code.

A product is fastest where one number of each row of its left side meets a stretch of its right side that lies in memory as
pairs: the words (2k, j) and (2k + 1, j) side by side, because the processor's instruction adds two products at once to each of
sixteen float32 sums. `tile` is that loop, with all sums in registers; the others bring matrices into pairs, from float32 or
bfloat16. Addresses and steps are in bytes. Only where `has_pairs`; knows neither threads nor layers.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, Literal, NamedTuple

import llvmlite.binding as llvm  # type: ignore[import-untyped]
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from whorl.model.emit import LANES, call, number, prefetch, spread

__all__ = [
    "LANES",
    "PANEL",
    "SHORT",
    "TALL",
    "across_floats",
    "across_words",
    "along_floats",
    "along_words",
    "fetch",
    "has_pairs",
    "row_from_there",
    "row_from_zero",
    "row_to_words",
    "short_to_words",
    "tall_from_there",
    "tall_from_zero",
    "tile_from_there",
    "tile_from_zero",
    "tile_to_words",
]

WIDE: Final = 4  # registers a tile is wide
TALL: Final = 6  # rows a tile is tall: 24 sums, four stretches of the right side and one number fit into 32 registers
SHORT: Final = 4  # rows of a tile that divides what is packed sixteen by sixteen: two hundredths slower
PANEL: Final = LANES * WIDE  # columns of a tile

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_PAIRS = ir.VectorType(_I32, LANES)
_WORDS = ir.VectorType(ir.IntType(16), LANES)
_CHOICE = ir.VectorType(ir.IntType(1), LANES)

_Code = Callable[[Any, Any], None]  # of a builder of instructions and the numbers given
Source = Literal["words", "floats"]  # bfloat16 or float32


@cache
def has_pairs() -> bool:
    """Whether this processor multiplies pairs of bfloat16."""
    features = llvm.get_host_cpu_features()
    return bool(features.get("avx512bf16")) and bool(features.get("avx512bw"))


class _Kind(NamedTuple):
    """How numbers lie in memory, and what a register of them is called."""

    vector: Any
    name: str
    align: int


_SHAPES: Final = {
    "words": _Kind(_WORDS, "v16i16", 2),
    "floats": _Kind(_FLOATS, "v16f32", 4),
    "pairs": _Kind(_PAIRS, "v16i32", 2),
}


def _step(count: int, code: _Code) -> Any:  # noqa: ANN401 - an intrinsic of numba
    """What loops may call with so many integers."""

    def generated(context: Any, builder: Any, _: Any, given: Any) -> Any:  # noqa: ANN401
        code(builder, given)
        return context.get_dummy_value()

    wanted = types.void(*[types.int64] * count)
    # numba reads the names of the arguments, so there is a function for each number of them.
    typed = {
        1: lambda typing, a: (wanted, generated),  # noqa: ARG005
        5: lambda typing, a, b, c, d, e: (wanted, generated),  # noqa: ARG005
        6: lambda typing, a, b, c, d, e, f: (wanted, generated),  # noqa: ARG005
        9: lambda typing, a, b, c, d, e, f, g, h, i: (wanted, generated),  # noqa: ARG005
    }[count]
    return intrinsic(typed)


def _first(b: Any, count: Any) -> Any:  # noqa: ANN401
    """The choice of the first `count` lanes: none below 0, all from 16 on."""
    return b.icmp_signed("<", ir.Constant(_PAIRS, list(range(LANES))), spread(b, b.trunc(count, _I32)))


def _load(b: Any, address: Any, kind: _Kind, count: Any) -> Any:  # noqa: ANN401
    """The first `count` numbers that stand there, 0 in the lanes behind them; their memory is not touched.

    Whole registers are loaded without a choice: one of sixteen words takes many times as long as a plain load.
    """
    pointer = b.inttoptr(address, kind.vector.as_pointer())
    with b.if_else(b.icmp_signed(">=", count, number(LANES))) as (whole, cut):
        with whole:
            plain, from_whole = b.load(pointer, align=kind.align), b.block
        with cut:
            given = pointer, ir.Constant(_I32, kind.align), _first(b, count), ir.Constant(kind.vector, None)
            chosen, from_cut = call(b, f"llvm.masked.load.{kind.name}.p0", kind.vector, *given), b.block
    found = b.phi(kind.vector)
    found.add_incoming(plain, from_whole)
    found.add_incoming(chosen, from_cut)
    return found


def _store(b: Any, value: Any, address: Any, kind: _Kind, choice: Any) -> None:  # noqa: ANN401
    pointer = b.inttoptr(address, kind.vector.as_pointer())
    call(b, f"llvm.masked.store.{kind.name}.p0", ir.VoidType(), value, pointer, ir.Constant(_I32, kind.align), choice)


def _narrow(b: Any, value: Any) -> Any:  # noqa: ANN401
    """float32 to bfloat16, to nearest even; numbers below 1e-38 become 0."""
    return call(b, "llvm.x86.avx512bf16.cvtneps2bf16.512", _WORDS, value)


def _tile(tall: int, how: str) -> Any:  # noqa: ANN401
    """`how`: the sums `start` at 0 or `go on` from what stands there; or they start at 0 and are rounded (`narrow`)."""

    def code(b: Any, given: Any) -> None:  # noqa: ANN401
        out, out_row, left, left_row, left_step, right, right_step, count, columns = given
        kind = _SHAPES["words" if how == "narrow" else "floats"]
        lefts = [b.sub(columns, number(LANES * j)) for j in range(WIDE)]
        size = LANES * (2 if how == "narrow" else 4)
        places = [b.add(b.add(out, b.mul(out_row, number(r))), number(size * j)) for r in range(tall) for j in range(WIDE)]
        kept = how == "go on"
        start = [
            _load(b, place, kind, lefts[index % WIDE]) if kept else ir.Constant(_FLOATS, [0.0] * LANES)
            for index, place in enumerate(places)
        ]
        before, loop, after = b.block, b.append_basic_block("tile"), b.append_basic_block("tiled")
        b.branch(loop)
        b.position_at_end(loop)
        moving = []
        for begin in (number(0), left, right):
            moving.append(b.phi(_I64))
            moving[-1].add_incoming(begin, before)
        done, a, p = moving
        sums = []
        for one in start:
            sums.append(b.phi(_FLOATS))
            sums[-1].add_incoming(one, before)
        stretch = [b.load(b.inttoptr(b.add(p, number(64 * j)), _PAIRS.as_pointer()), align=4) for j in range(WIDE)]
        more = []
        for r in range(tall):
            pair = b.load(b.inttoptr(b.add(a, b.mul(left_row, number(r))), _I32.as_pointer()), align=2)
            everywhere = spread(b, pair)
            own = zip(sums[r * WIDE : (r + 1) * WIDE], stretch, strict=True)
            more += [call(b, "llvm.x86.avx512bf16.dpbf16ps.512", _FLOATS, held, everywhere, one) for held, one in own]
        for phi, value in zip([done, a, p], [b.add(done, number(1)), b.add(a, left_step), b.add(p, right_step)], strict=True):
            phi.add_incoming(value, loop)
        for phi, value in zip(sums, more, strict=True):
            phi.add_incoming(value, loop)
        b.cbranch(b.icmp_signed("<", b.add(done, number(1)), count), loop, after)
        b.position_at_end(after)
        done_sums = [_narrow(b, value) if how == "narrow" else value for value in more]
        with b.if_else(b.icmp_signed(">=", columns, number(PANEL))) as (whole, cut):
            with whole:  # a store of chosen words takes many times as long as a plain one
                for place, value in zip(places, done_sums, strict=True):
                    b.store(value, b.inttoptr(place, kind.vector.as_pointer()), align=kind.align)
            with cut:
                for index, (place, value) in enumerate(zip(places, done_sums, strict=True)):
                    _store(b, value, place, kind, _first(b, lefts[index % WIDE]))

    return _step(9, code)


def _along(source: Source) -> Any:  # noqa: ANN401
    """Sixteen numbers of one row and of the row below it, side by side."""

    def code(b: Any, given: Any) -> None:  # noqa: ANN401
        first, second, target, columns, second_columns = given
        halves = []
        for address, count in ((first, columns), (second, second_columns)):
            found = _load(b, address, _SHAPES[source], count)
            halves.append(b.zext(_narrow(b, found) if source == "floats" else found, _PAIRS))
        pair = b.or_(halves[0], b.shl(halves[1], ir.Constant(_PAIRS, [16] * LANES)))
        b.store(pair, b.inttoptr(target, _PAIRS.as_pointer()), align=4)

    return _step(5, code)


def _across(source: Source) -> Any:  # noqa: ANN401
    """Sixteen rows of sixteen pairs, turned: every pair of a row under the one before it."""

    def code(b: Any, given: Any) -> None:  # noqa: ANN401
        first, row, rows, target, target_row, pairs = given
        lines = []
        for r in range(LANES):
            held = b.select(b.icmp_signed("<", number(r), rows), pairs, number(0))
            lines.append(_line(b, b.add(first, b.mul(row, number(r))), held, source))
        for p, line in enumerate(_turned(b, lines)):
            with b.if_then(b.icmp_signed("<", number(p), pairs)):
                place = b.add(target, b.mul(target_row, number(p)))
                b.store(line, b.inttoptr(place, _PAIRS.as_pointer()), align=4)

    return _step(6, code)


def _line(b: Any, address: Any, pairs: Any, source: Source) -> Any:  # noqa: ANN401
    """So many pairs of a row, and zeros."""
    if source == "words":
        return _load(b, address, _SHAPES["pairs"], pairs)
    count = b.mul(pairs, number(2))
    low = _load(b, address, _SHAPES["floats"], count)
    high = _load(b, b.add(address, number(4 * LANES)), _SHAPES["floats"], b.sub(count, number(LANES)))
    both = call(b, "llvm.x86.avx512bf16.cvtne2ps2bf16.512", ir.VectorType(ir.IntType(16), 2 * LANES), high, low)
    return b.bitcast(both, _PAIRS)


def _turned(b: Any, lines: Sequence[Any]) -> list[Any]:  # noqa: ANN401
    """The transpose: blocks of 1, 2, 4 and 8 lanes change places between lines as far apart."""
    out = list(lines)
    for apart in (1, 2, 4, 8):
        for i in (i for i in range(LANES) if not i & apart):
            upper = [lane if not lane & apart else LANES + lane - apart for lane in range(LANES)]
            lower = [lane + apart if not lane & apart else LANES + lane for lane in range(LANES)]
            pair = out[i], out[i + apart]
            out[i], out[i + apart] = (b.shuffle_vector(*pair, ir.Constant(_PAIRS, order)) for order in (upper, lower))
    return out


def _fetch(b: Any, given: Any) -> None:  # noqa: ANN401
    """Ask for a line of memory before it is wanted."""
    prefetch(b, given[0])


fetch = _step(1, _fetch)
# (out, its row, left, its row, its step, right, its step, pairs, columns): adds up `pairs` steps of TALL rows (to words), SHORT
# rows (to floats) or one row times a panel, of which the first `columns` are written.
tile_to_words, short_to_words, row_to_words = (_tile(tall, "narrow") for tall in (TALL, SHORT, 1))
tall_from_zero, tall_from_there = _tile(TALL, "start"), _tile(TALL, "go on")
tile_from_zero, tile_from_there = _tile(SHORT, "start"), _tile(SHORT, "go on")
row_from_zero, row_from_there = _tile(1, "start"), _tile(1, "go on")
# (row, the row below, target, columns of the row, of the one below): sixteen pairs.
along_words, along_floats = _along("words"), _along("floats")
# (first of 16 rows, bytes to the next, rows, target, bytes to its next line, pairs): sixteen lines of sixteen pairs.
across_words, across_floats = _across("words"), _across("floats")
