"""model/tile: loops over a few matrix rows and a few vectors at once, with all their sums in registers, as machine code.

The innermost part of products of few rows (model/few) and of attention over pages (model/paged). Every sum of a row with a
vector runs through the same additions in the same order however many vectors or rows there are, so their number never shows in
the result. Steps are model/steps. Knows no layer and no thread.
"""

from functools import partial
from typing import Any, Final

import numba
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from whorl.model.emit import LANES, cgutils, prefetch, spread
from whorl.model.steps import FLOATS, FOUR, LINE, Kind, Side, added, loaded, multiply, multiply_fours

__all__ = ["COLUMNS", "ROWS", "WIDTHS", "ask", "blend", "exact", "stack", "tile"]

ROWS: Final = 4  # matrix rows of a tile: enough sums under way that none waits for its last addition
COLUMNS: Final = 4  # and vectors, at most
WIDTHS: Final = (64, 16)  # numbers of a row that `blend` works on at once

_I8, _I32, _I64, _F32 = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()
# For functions that call what is made here. Without leave to reorder sums: their order is what makes a result the same in any
# company.
exact: Any = numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)  # type: ignore[call-overload]


def tile(kind: Kind, *, lines: int = 0) -> Any:  # noqa: ANN401 - what compiled functions call
    """work((x, x_stride, num_x, w, w_stride, num_w, count, asked, out, out_stride, sums)), int64, for `exact` functions.

    out[c, r], float32, becomes the sum over `count` numbers of x row c times w row r. Addresses and strides in bytes. Of fewer
    vectors than COLUMNS, num_x >= 1, the last is repeated, and rows are taken ROWS at a time: what stands in `out` beyond those
    that were given, up to the next multiple, is not meant to be read. `asked`: memory to be asked for meanwhile, so many
    `lines` of it at a step of four rows, and half as many where there are more than two vectors. `sums`: for a matrix of FOUR,
    the sums of each group of x row c, four float32 for each step.
    """

    @intrinsic
    def work(typing: Any, given: Any) -> Any:  # noqa: ANN401, ARG001
        return types.void(given), partial(_generate, kind, lines)

    return work


def stack(count: int) -> Any:  # noqa: ANN401 - what compiled functions call
    """A function that gives the address of so many float32, which last as long as the compiled function that calls it."""
    size = ir.ArrayType(_F32, count)

    def generate(_context: Any, b: Any, _signature: Any, _given: Any) -> Any:  # noqa: ANN401
        place = cgutils.alloca_once(b, size)
        place.align = LINE
        return b.ptrtoint(place, _I64)

    @intrinsic
    def address(typing: Any) -> Any:  # noqa: ANN401, ARG001
        return types.int64(), generate

    return address


def _asking(typing: Any, address: Any, size: Any) -> Any:  # noqa: ANN401, ARG001
    def generate(context: Any, b: Any, _signature: Any, given: Any) -> Any:  # noqa: ANN401
        begin, count = given
        steps = ir.Constant(_I64, 0), count, ir.Constant(_I64, LINE)
        with cgutils.for_range_slice(b, *steps) as (at, _):
            prefetch(b, b.add(begin, at))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


ask: Any = intrinsic(_asking)  # ask(address, size), int64: for so many bytes of memory, before they are needed


def _generate(kind: Kind, lines: int, context: Any, b: Any, _signature: Any, given: Any) -> Any:  # noqa: ANN401
    """One way for each number of vectors. With many of them the same rows pass again, so each pass asks for half."""
    numbers = cgutils.unpack_tuple(b, given[0])
    for columns in (1, 2, COLUMNS):
        is_wanted = b.icmp_signed("==" if columns < COLUMNS else ">", numbers[2], ir.Constant(_I64, min(columns, 2)))
        with b.if_then(is_wanted):
            _multiply(kind, columns, lines if columns < COLUMNS else -(-lines // 2), b, numbers)
    return context.get_dummy_value()


def _multiply(kind: Kind, columns: int, asks: int, b: Any, given: Any) -> None:  # noqa: ANN401
    x, x_stride, num_x, w, w_stride, num_w, count, asked, out, out_stride, group_sums = given
    begins = _begins(b, x, x_stride, num_x, columns)
    vectors = Side(begins, kind.x_bits, None, _group_sums(b, kind, (group_sums, num_x), count, columns))
    steps = b.lshr(count, ir.Constant(_I64, kind.step.bit_length() - 1))
    pass_bytes = b.mul(steps, ir.Constant(_I64, asks * LINE))
    tiles = ir.Constant(_I64, 0), num_w, ir.Constant(_I64, ROWS)
    with cgutils.for_range_slice(b, *tiles) as (first, _):
        begins = _begins(b, b.add(w, b.mul(first, w_stride)), w_stride, b.sub(num_w, first), ROWS)
        if kind.w_bits == FOUR:  # one line after another
            begins = [b.add(begins[0], ir.Constant(_I64, LINE * row)) for row in range(ROWS)]
        memory = b.add(asked, b.mul(b.lshr(first, ir.Constant(_I64, 2)), pass_bytes))
        matrix = Side(begins, kind.w_bits, None)
        sums = _dots(kind, b, vectors, matrix, count=count, asks=(memory, asks))
        here = b.add(out, b.mul(first, ir.Constant(_I64, 4)))
        for column, line in enumerate(sums):
            found = _summed(b, [b.load(one) for one in line[:ROWS]])
            for one in line[ROWS:]:
                found = b.fadd(found, _quads(b, b.load(one)))
            _store(b, found, b.add(here, b.mul(out_stride, ir.Constant(_I64, column))))


def _group_sums(b: Any, kind: Kind, given: tuple[Any, Any], count: Any, columns: int) -> list[Any]:  # noqa: ANN401
    """Where the sums of each vector's groups begin."""
    address, num_x = given
    if kind.w_bits != FOUR:
        return []
    blocks = b.lshr(b.add(count, ir.Constant(_I64, kind.step - 1)), ir.Constant(_I64, kind.step.bit_length() - 1))
    return _begins(b, address, b.mul(blocks, ir.Constant(_I64, 16)), num_x, columns)


def _dots(kind: Kind, b: Any, vectors: Side, matrix: Side, *, count: Any, asks: tuple[Any, int]) -> list[list[Any]]:  # noqa: ANN401
    """A register of sums for every vector and row, and one for middles: whole steps first, then what is left and zeros."""
    memory, lines = asks
    is_four = kind.w_bits == FOUR
    sums = [[cgutils.alloca_once(b, FLOATS) for _ in range(len(matrix.at) + is_four)] for _ in vectors.at]
    for one in (one for line in sums for one in line):
        b.store(ir.Constant(FLOATS, [0.0] * LANES), one)
    whole = b.and_(count, ir.Constant(_I64, -kind.step))
    rest = b.sub(count, whole)
    has_rest = b.icmp_signed(">", rest, ir.Constant(_I64, 0))
    # Rows of FOUR go on to the end of a step by themselves.
    padded = [vectors] if is_four else [vectors, matrix]
    pads = [_pads(b, kind, side, (whole, rest), has_rest) for side in padded]
    with cgutils.for_range(b, b.add(ir.Constant(_I64, 1), b.zext(has_rest, _I64))) as loop:
        is_rest = b.icmp_signed("==", loop.index, ir.Constant(_I64, 1))
        now = [
            side._replace(at=[b.select(is_rest, *two) for two in zip(pad, side.at, strict=True)])
            for side, pad in zip(padded, pads, strict=True)
        ]
        now += [matrix] if is_four else []
        start = b.select(is_rest, whole, ir.Constant(_I64, 0))
        stop = b.select(is_rest, b.add(whole, ir.Constant(_I64, kind.step)), whole)
        with cgutils.for_range_slice(b, start, stop, ir.Constant(_I64, kind.step)) as (at, _):
            done = b.lshr(at, ir.Constant(_I64, kind.step.bit_length() - 1))
            first = b.add(memory, b.mul(done, ir.Constant(_I64, lines * LINE)))
            for line in range(lines):
                prefetch(b, b.add(first, ir.Constant(_I64, line * LINE)))
            work = multiply_fours if is_four else multiply
            work(b, kind, sums, *(side._replace(first=at) for side in now))
    return sums


def _begins(b: Any, address: Any, stride: Any, given: Any, wanted: int) -> list[Any]:  # noqa: ANN401
    last = b.sub(given, ir.Constant(_I64, 1))
    found = []
    for number in range(wanted):
        this = ir.Constant(_I64, number)
        place = b.select(b.icmp_signed("<", this, last), this, last)
        found.append(b.add(address, b.mul(place, stride)))
    return found


def _pointer(b: Any, address: Any, kind: Any) -> Any:  # noqa: ANN401
    return b.inttoptr(address, kind.as_pointer())


def _store(b: Any, value: Any, address: Any) -> None:  # noqa: ANN401
    b.store(value, _pointer(b, address, value.type), align=4)


def _pads(b: Any, kind: Kind, side: Side, left: tuple[Any, Any], has_rest: Any) -> list[Any]:  # noqa: ANN401
    """What is left of the rows, copied to where zeros follow it; addresses as if the rows began before that."""
    whole, rest = left
    width = ir.Constant(_I64, side.bits // 8)
    size = ir.ArrayType(_I8, kind.step * side.bits // 8)
    pads = [cgutils.alloca_once(b, size) for _ in side.at]
    before = b.mul(whole, width)
    with b.if_then(has_rest, likely=False):
        for pad, row in zip(pads, side.at, strict=True):
            b.store(ir.Constant(size, None), pad)
            source = _pointer(b, b.add(row, before), _I8)
            cgutils.raw_memcpy(b, b.bitcast(pad, _I8.as_pointer()), source, b.mul(rest, width), 1)
    return [b.sub(b.ptrtoint(pad, _I64), before) for pad in pads]


def _summed(b: Any, sums: list[Any]) -> Any:  # noqa: ANN401
    """The totals of four registers, <4 x float>: halves are added to halves until one number of each is left."""
    low, high = [*range(8), *range(16, 24)], [*range(8, 16), *range(24, 32)]
    halves = [_halved(b, left, right, low, high) for left, right in (sums[:2], sums[2:])]
    quarters = [place for block in (0, 8, 16, 24) for place in range(block, block + 4)]
    found = _halved(b, halves[0], halves[1], quarters, [place + 4 for place in quarters])
    return _quads(b, found)


def _quads(b: Any, found: Any) -> Any:  # noqa: ANN401
    """The totals of every four lanes, <4 x float>."""
    for far in (2, 1):
        found = b.fadd(found, _shuffled(b, found, found, [place ^ far for place in range(LANES)]))
    return _shuffled(b, found, found, [0, 4, 8, 12])


def _halved(b: Any, left: Any, right: Any, low: list[int], high: list[int]) -> Any:  # noqa: ANN401
    return b.fadd(_shuffled(b, left, right, low), _shuffled(b, left, right, high))


def _shuffled(b: Any, left: Any, right: Any, places: list[int]) -> Any:  # noqa: ANN401
    return b.shuffle_vector(left, right, ir.Constant(ir.VectorType(_I32, len(places)), places))


def blend(row_bits: int) -> Any:  # noqa: ANN401 - what compiled functions call
    """work((rows, stride, num_rows, weights, weights_stride, num_sums, width, out, out_stride)), int64 all, for such functions.

    out[s, :width] grows by the sum over rows r, in their order, of weights[s, r] * row r; at most COLUMNS sums, `width` one of
    WIDTHS. Rows of bfloat16 (`row_bits` 16) or float32 (32), the rest float32; addresses and strides in bytes.
    """

    @intrinsic
    def work(typing: Any, given: Any) -> Any:  # noqa: ANN401, ARG001
        return types.void(given), partial(_generate_blend, Kind(32, row_bits))

    return work


def _generate_blend(kind: Kind, _context: Any, b: Any, _signature: Any, given: Any) -> Any:  # noqa: ANN401
    numbers = cgutils.unpack_tuple(b, given[0])
    num_sums, width = numbers[5], numbers[6]
    for sums in range(1, COLUMNS + 1):
        for wanted in WIDTHS:
            is_count = b.icmp_signed("==", num_sums, ir.Constant(_I64, sums))
            with b.if_then(b.and_(is_count, b.icmp_signed("==", width, ir.Constant(_I64, wanted)))):
                _blend(kind, sums, wanted // LANES, b, numbers)
    return _context.get_dummy_value()


def _blend(kind: Kind, num_sums: int, registers: int, b: Any, given: Any) -> None:  # noqa: ANN401
    rows, stride, num_rows, weights, weights_stride, _, _, out, out_stride = given
    lines = [b.add(out, b.mul(out_stride, ir.Constant(_I64, s))) for s in range(num_sums)]
    places = [[b.add(line, ir.Constant(_I64, LINE * j)) for j in range(registers)] for line in lines]
    totals = [[cgutils.alloca_once(b, FLOATS) for _ in line] for line in places]
    for place, total in _flat(places, totals):
        b.store(b.load(_pointer(b, place, FLOATS), align=4), total)
    with cgutils.for_range(b, num_rows) as loop:
        side = Side([b.add(rows, b.mul(loop.index, stride))], kind.w_bits, ir.Constant(_I64, 0))
        row = [loaded(b, kind, side, 0, j * LANES) for j in range(registers)]
        at = b.mul(loop.index, ir.Constant(_I64, 4))
        for s, held in enumerate(totals):
            first = b.add(weights, b.mul(weights_stride, ir.Constant(_I64, s)))
            weight = spread(b, b.load(_pointer(b, b.add(first, at), _F32), align=4))
            for total, part in zip(held, row, strict=True):
                b.store(added(b, kind, b.load(total), part, weight), total)
    for place, total in _flat(places, totals):
        _store(b, b.load(total), place)


def _flat(places: list[list[Any]], totals: list[list[Any]]) -> list[tuple[Any, Any]]:
    return [pair for line, held in zip(places, totals, strict=True) for pair in zip(line, held, strict=True)]
