"""model/tile: dot products of four matrix rows with a few vectors at once, written for the compiler in wide registers.

The innermost part of few_product and of attention over pages. Every sum of a row with a vector runs through the same additions
in the same order however many vectors there are, so their number never shows in the result. Where the CPU multiplies pairs of
bfloat16 (avx512_bf16), `DOT` does: products exact, pairs and running sums in float32, numbers below 2^-126 taken as 0;
elsewhere, and for vectors in float32, each weight is widened and multiplied in float32. One machine always takes the same.
Knows no layer, no thread and no memory layout beyond rows of contiguous numbers.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

import numba
from llvmlite import binding, ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["COLUMNS", "HAS_DOT", "ROWS", "WIDTHS", "Kind", "ask", "blend", "stack", "tile"]

ROWS: Final = 4  # matrix rows of a tile: enough sums under way that none waits for its last addition
COLUMNS: Final = 4  # and vectors, at most
_LANES: Final = 16  # float32 numbers of a register
WIDTHS: Final = (64, 16)  # numbers of a row that `blend` works on at once
_LINE: Final = 64  # bytes of a cache line, and of a row in one step

_I16, _I32, _I64, _F32 = ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()
_FLOATS = ir.VectorType(_F32, _LANES)
# Without leave to reorder sums: their order is what makes a result the same in any company.
_exact: Any = numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)  # type: ignore[call-overload]


class _BFloat(ir.Type):  # type: ignore[misc]
    """LLVM's bfloat, which llvmlite does not name."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


_PAIRS = ir.VectorType(_BFloat(), 2 * _LANES)


class Kind(NamedTuple):
    """What a tile multiplies: bytes of a number in the vectors and in the matrix (2: bfloat16, 4: float32), and whether in pairs."""

    x_bytes: int
    w_bytes: int
    is_dot: bool = False

    @property
    def step(self) -> int:
        """Numbers of a row worked on at once."""
        return _LINE // self.w_bytes


def _has_dot() -> bool:
    return bool(binding.get_host_cpu_features().get("avx512bf16", False))


HAS_DOT: Final = _has_dot()


class _Rows(NamedTuple):
    """Where rows begin, as integers: the last is repeated where there are fewer than a tile has."""

    at: list[Any]
    bytes: int


def tile(kind: Kind) -> Any:  # noqa: ANN401 - what compiled functions call
    """work(x, x_stride, num_x, w, w_stride, num_w, count, asked, lines, out, out_stride), int64 all, for compiled loops.

    out[c, r], float32, becomes the sum over `count` numbers of x row c times w row r. Addresses and strides in bytes. Of fewer
    vectors than COLUMNS, num_x >= 1, the last is repeated, and rows are taken ROWS at a time: what stands in `out` beyond those
    that were given, up to the next multiple, is not meant to be read. `asked`: memory to be asked for meanwhile, so many lines
    of it at a step: 0, 1, 2 or 4. Steps are of `kind.step` numbers of four rows.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def work(typing, x, x_stride, num_x, w, w_stride, num_w, count, asked, lines, out, out_stride):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001, PLR0913, PLR0917
        return types.void(*([types.int64] * 11)), partial(_generate, kind)

    @_exact
    def tiled(x, x_stride, num_x, w, w_stride, num_w, count, asked, lines, out, out_stride):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0913, PLR0917
        work(x, x_stride, num_x, w, w_stride, num_w, count, asked, lines, out, out_stride)

    return tiled


def stack(count: int) -> Any:  # noqa: ANN401 - what compiled functions call
    """A function that gives the address of so many float32, which last as long as the compiled function that calls it."""
    size = ir.ArrayType(_F32, count)

    def generate(_context: Any, b: Any, _signature: Any, _given: Any) -> Any:  # noqa: ANN401
        place = cgutils.alloca_once(b, size)
        place.align = _LINE
        return b.ptrtoint(place, _I64)

    @intrinsic  # type: ignore[untyped-decorator]
    def address(typing):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
        return types.int64(), generate

    return address


@intrinsic  # type: ignore[untyped-decorator]
def ask(typing, address, size):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, ARG001
    """Ask for so many bytes of memory before they are needed; both int64."""

    def generate(context: Any, b: Any, _signature: Any, given: Any) -> Any:  # noqa: ANN401
        begin, count = given
        steps = ir.Constant(_I64, 0), count, ir.Constant(_I64, _LINE)
        with cgutils.for_range_slice(b, *steps) as (at, _):
            _ask(b, b.add(begin, at))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


def _generate(kind: Kind, _context: Any, b: Any, _signature: Any, given: Any) -> Any:  # noqa: ANN401
    """One way for each number of vectors and of lines asked for; few vectors ask for all lines or none."""
    num_x, lines = given[2], given[8]
    for columns, asks in ((1, (0, ROWS)), (2, (0, ROWS)), (COLUMNS, (0, 1, 2, ROWS))):
        is_wanted = b.icmp_signed("==" if columns < COLUMNS else ">", num_x, ir.Constant(_I64, min(columns, 2)))
        for asked in asks:
            is_any = asked > 0 and columns < COLUMNS
            is_so = b.icmp_signed("!=" if is_any else "==", lines, ir.Constant(_I64, 0 if is_any else asked))
            with b.if_then(b.and_(is_wanted, is_so)):
                _multiply(kind, columns, asked, b, given)
    return _context.get_dummy_value()


def _multiply(kind: Kind, columns: int, asks: int, b: Any, given: Any) -> None:  # noqa: ANN401
    x, x_stride, num_x, w, w_stride, num_w, count, asked, _, out, out_stride = given
    vectors = _Rows(_begins(b, x, x_stride, num_x, columns), kind.x_bytes)
    whole = b.and_(count, ir.Constant(_I64, -kind.step))
    pass_bytes = b.mul(whole, ir.Constant(_I64, asks * _LINE // kind.step))
    tiles = ir.Constant(_I64, 0), num_w, ir.Constant(_I64, ROWS)
    with cgutils.for_range_slice(b, *tiles) as (first, _):
        begins = _begins(b, b.add(w, b.mul(first, w_stride)), w_stride, b.sub(num_w, first), ROWS)
        memory = b.add(asked, b.mul(b.sdiv(first, ir.Constant(_I64, ROWS)), pass_bytes))
        sums = _dots(kind, b, vectors, _Rows(begins, kind.w_bytes), count=count, whole=whole, asks=(memory, asks))
        here = b.add(out, b.mul(first, ir.Constant(_I64, 4)))
        for column in range(columns):
            four = _summed(b, [b.load(one) for one in sums[column * ROWS : (column + 1) * ROWS]])
            _store(b, four, b.add(here, b.mul(out_stride, ir.Constant(_I64, column))))


def _dots(kind: Kind, b: Any, vectors: _Rows, matrix: _Rows, *, count: Any, whole: Any, asks: tuple[Any, int]) -> list[Any]:  # noqa: ANN401
    """A register of sums for every vector and row."""
    memory, lines = asks
    sums = [cgutils.alloca_once(b, _FLOATS) for _ in range(len(vectors.at) * ROWS)]
    for one in sums:
        b.store(ir.Constant(_FLOATS, [0.0] * _LANES), one)
    with cgutils.for_range_slice(b, ir.Constant(_I64, 0), whole, ir.Constant(_I64, kind.step)) as (at, _):
        first = b.add(memory, b.mul(at, ir.Constant(_I64, lines * _LINE // kind.step)))
        for line in range(lines):
            _ask(b, b.add(first, ir.Constant(_I64, line * _LINE)))
        _step(b, kind, sums, _loader(b, vectors, at), _loader(b, matrix, at))
    rest = b.sub(count, whole)
    with b.if_then(b.icmp_signed(">", rest, ir.Constant(_I64, 0)), likely=False):
        _step(b, kind, sums, _rest_loader(b, vectors, whole, rest), _rest_loader(b, matrix, whole, rest))
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


def _ask(b: Any, address: Any) -> None:  # noqa: ANN401
    """Ask for the memory at an address, which need not exist, before it is needed."""
    byte = ir.IntType(8).as_pointer()
    function = cgutils.get_or_insert_function(
        b.module, ir.FunctionType(ir.VoidType(), [byte, _I32, _I32, _I32]), "llvm.prefetch.p0"
    )
    b.call(function, [_pointer(b, address, ir.IntType(8)), *(ir.Constant(_I32, n) for n in (0, 3, 1))])


_Load = Callable[[int, int, Any], Any]  # row, numbers after the first of the step, type of what is loaded


def _loader(b: Any, rows: _Rows, at: Any) -> _Load:  # noqa: ANN401
    def load(row: int, after: int, kind: Any) -> Any:  # noqa: ANN401
        place = b.mul(b.add(at, ir.Constant(_I64, after)), ir.Constant(_I64, rows.bytes))
        return b.load(_pointer(b, b.add(rows.at[row], place), kind), align=rows.bytes)

    return load


def _rest_loader(b: Any, rows: _Rows, at: Any, rest: Any) -> _Load:  # noqa: ANN401
    """What is left of the rows is copied to where zeros follow it."""
    size = ir.ArrayType(ir.IntType(8), 2 * _LANES * rows.bytes)
    pads = [cgutils.alloca_once(b, size) for _ in rows.at]
    width = ir.Constant(_I64, rows.bytes)
    for pad, row in zip(pads, rows.at, strict=True):
        b.store(ir.Constant(size, None), pad)
        source = _pointer(b, b.add(row, b.mul(at, width)), ir.IntType(8))
        cgutils.raw_memcpy(b, b.bitcast(pad, ir.IntType(8).as_pointer()), source, b.mul(rest, width), 1)
    begins = _Rows([b.ptrtoint(pad, _I64) for pad in pads], rows.bytes)
    return _loader(b, begins, ir.Constant(_I64, 0))


def _step(b: Any, kind: Kind, sums: list[Any], load_x: _Load, load_w: _Load) -> None:  # noqa: ANN401
    """Add the products of one step to every sum."""
    columns = len(sums) // ROWS
    width = 2 * _LANES if kind.is_dot else _LANES
    for after in range(0, kind.step, width):
        rows = [_loaded(b, kind, load_w, row, after, kind.w_bytes) for row in range(ROWS)]
        for column in range(columns):
            vector = _loaded(b, kind, load_x, column, after, kind.x_bytes)
            for row in range(ROWS):
                place = sums[column * ROWS + row]
                b.store(_added(b, kind, b.load(place), rows[row], vector), place)


def _loaded(b: Any, kind: Kind, load: _Load, row: int, after: int, size: int) -> Any:  # noqa: ANN401, PLR0913, PLR0917
    if kind.is_dot:
        return b.bitcast(load(row, after, ir.VectorType(_I16, 2 * _LANES)), _PAIRS)
    if size == 4:
        return load(row, after, _FLOATS)
    wide = b.zext(load(row, after, ir.VectorType(_I16, _LANES)), ir.VectorType(_I32, _LANES))
    return b.bitcast(b.shl(wide, ir.Constant(wide.type, [16] * _LANES)), _FLOATS)


def _added(b: Any, kind: Kind, total: Any, row: Any, vector: Any) -> Any:  # noqa: ANN401
    if kind.is_dot:
        signature = ir.FunctionType(_FLOATS, [_FLOATS, _PAIRS, _PAIRS])
        function = cgutils.get_or_insert_function(b.module, signature, "llvm.x86.avx512bf16.dpbf16ps.512")
        return b.call(function, [total, row, vector])
    signature = ir.FunctionType(_FLOATS, [_FLOATS] * 3)
    function = cgutils.get_or_insert_function(b.module, signature, "llvm.fmuladd.v16f32")
    return b.call(function, [row, vector, total])


def _summed(b: Any, sums: list[Any]) -> Any:  # noqa: ANN401
    """The totals of four registers, <4 x float>: halves are added to halves until one number of each is left."""
    low, high = [*range(8), *range(16, 24)], [*range(8, 16), *range(24, 32)]
    halves = [_halved(b, left, right, low, high) for left, right in (sums[:2], sums[2:])]
    quarters = [place for block in (0, 8, 16, 24) for place in range(block, block + 4)]
    found = _halved(b, *halves, quarters, [place + 4 for place in quarters])
    for far in (2, 1):
        found = b.fadd(found, _shuffled(b, found, found, [place ^ far for place in range(_LANES)]))
    return _shuffled(b, found, found, [0, 4, 8, 12])


def _halved(b: Any, left: Any, right: Any, low: list[int], high: list[int]) -> Any:  # noqa: ANN401
    return b.fadd(_shuffled(b, left, right, low), _shuffled(b, left, right, high))


def _shuffled(b: Any, left: Any, right: Any, places: list[int]) -> Any:  # noqa: ANN401
    return b.shuffle_vector(left, right, ir.Constant(ir.VectorType(_I32, len(places)), places))


def blend(row_bytes: int) -> Any:  # noqa: ANN401 - what compiled functions call
    """work(rows, stride, num_rows, weights, weights_stride, num_sums, width, out, out_stride), int64 all, for compiled loops.

    out[s, :width] grows by the sum over rows r, in their order, of weights[s, r] * row r; at most COLUMNS sums, `width` one of
    WIDTHS. Rows of bfloat16 (`row_bytes` 2) or float32 (4), the rest float32; addresses and strides in bytes.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def work(typing, rows, stride, num_rows, weights, weights_stride, num_sums, width, out, out_stride):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001, PLR0913, PLR0917
        return types.void(*([types.int64] * 9)), partial(_generate_blend, Kind(4, row_bytes))

    @_exact
    def blended(rows, stride, num_rows, weights, weights_stride, num_sums, width, out, out_stride):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0913, PLR0917
        work(rows, stride, num_rows, weights, weights_stride, num_sums, width, out, out_stride)

    return blended


def _generate_blend(kind: Kind, _context: Any, b: Any, _signature: Any, given: Any) -> Any:  # noqa: ANN401
    num_sums, width = given[5], given[6]
    for sums in range(1, COLUMNS + 1):
        for wanted in WIDTHS:
            is_count = b.icmp_signed("==", num_sums, ir.Constant(_I64, sums))
            with b.if_then(b.and_(is_count, b.icmp_signed("==", width, ir.Constant(_I64, wanted)))):
                _blend(kind, sums, wanted // _LANES, b, given)
    return _context.get_dummy_value()


def _blend(kind: Kind, num_sums: int, registers: int, b: Any, given: Any) -> None:  # noqa: ANN401
    rows, stride, num_rows, weights, weights_stride, _, _, out, out_stride = given
    places = [
        [b.add(b.add(out, b.mul(out_stride, ir.Constant(_I64, s))), ir.Constant(_I64, _LINE * j)) for j in range(registers)]
        for s in range(num_sums)
    ]
    totals = [[cgutils.alloca_once(b, _FLOATS) for _ in line] for line in places]
    for line, held in zip(places, totals, strict=True):
        for place, total in zip(line, held, strict=True):
            b.store(b.load(_pointer(b, place, _FLOATS), align=4), total)
    with cgutils.for_range(b, num_rows) as loop:
        at = b.add(rows, b.mul(loop.index, stride))
        load = _loader(b, _Rows([at], kind.w_bytes), ir.Constant(_I64, 0))
        row = [_loaded(b, kind, load, 0, j * _LANES, kind.w_bytes) for j in range(registers)]
        for s, held in enumerate(totals):
            first = b.add(weights, b.mul(weights_stride, ir.Constant(_I64, s)))
            weight = _spread(b, b.load(_pointer(b, b.add(first, b.mul(loop.index, ir.Constant(_I64, 4))), _F32), align=4))
            for total, part in zip(held, row, strict=True):
                b.store(_added(b, kind, b.load(total), part, weight), total)
    for line, held in zip(places, totals, strict=True):
        for place, total in zip(line, held, strict=True):
            _store(b, b.load(total), place)


def _spread(b: Any, number: Any) -> Any:  # noqa: ANN401
    """A register of the same number everywhere."""
    one = b.insert_element(ir.Constant(_FLOATS, ir.Undefined), number, ir.Constant(_I32, 0))
    return _shuffled(b, one, one, [0] * _LANES)
