"""model/rows: what attention does to a row between its products, softmax and its slope, as machine code.

Sixteen numbers at a time in the processor's own instructions, a few rows side by side: the compiler's loops over the same
formulas took twice as long (256 columns: 0.5 ns a score against 0.2). Rows are float32, in whole steps of PANEL columns, and
become bfloat16, to nearest even, numbers below 2^-126 as 0. What is not a number, or infinite, spreads over its row. Addresses
and steps are in bytes. Only where lanes.has_pairs. Of masks (model/seen) it reads where a row begins to see and where it stops,
not what lies between: who has holes hides them first.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from whorl.model.emit import LANES, call, cgutils, number, spread
from whorl.model.lanes import PANEL, SHORT

__all__ = ["slope_one", "slope_rows", "slope_two", "soften_row", "soften_rows"]

_I16, _I32, _I64, _F32 = ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()
_FLOATS: Any = ir.VectorType(_F32, LANES)
_INTS: Any = ir.VectorType(_I32, LANES)
_WORDS: Any = ir.VectorType(_I16, LANES)
_PAIR: Any = ir.VectorType(_I16, 2 * LANES)
_AS_SET: Final = 4  # rounding: as the processor is set
_DOWN: Final = 1  # to the integer below
_FLOAT, _WORD, _LINE = 4, 2, 64  # bytes

# 2^x for x in [0, 1], highest power first: off by 8e-8 at most, and 1 of 0.
_POWERS: Final = (
    1.867130213333509e-3,
    9.017030018761196e-3,
    5.579991332068881e-2,
    0.24016445009570084,
    0.6931513118094639,
    1.0,
)
_LOG2_E: Final = 1.4426950408889634


def _all(value: float) -> Any:  # noqa: ANN401
    return ir.Constant(_FLOATS, [value] * LANES)


def _place(b: Any, address: Any, columns: Any, size: int) -> Any:  # noqa: ANN401
    """The address of a column, numbers being of so many bytes."""
    return b.add(address, b.mul(columns, number(size)))


def _load(b: Any, address: Any, kind: Any, align: int = 2) -> Any:  # noqa: ANN401
    return b.load(b.inttoptr(address, kind.as_pointer()), align=align)


def _store(b: Any, value: Any, address: Any) -> None:  # noqa: ANN401
    b.store(value, b.inttoptr(address, value.type.as_pointer()), align=2)


def _store_past(b: Any, value: Any, address: Any) -> None:  # noqa: ANN401
    """Past the caches, a whole line at once: what is not wanted soon need not be fetched first, nor push out what is. Others
    see it after the next locked instruction, with which every loop claims its next rows."""
    stored = b.store(value, b.inttoptr(address, value.type.as_pointer()), align=_LINE)
    stored.set_metadata("nontemporal", b.module.add_metadata([ir.Constant(_I32, 1)]))


def _fma(b: Any, x: Any, y: Any, z: Any) -> Any:  # noqa: ANN401
    return call(b, "llvm.fma.v16f32", _FLOATS, x, y, z)


def _larger(b: Any, x: Any, y: Any) -> Any:  # noqa: ANN401
    """y where x is not a number."""
    return b.select(b.fcmp_ordered(">", x, y), x, y)


def _power(b: Any, x: Any) -> Any:  # noqa: ANN401
    """2^x: of minus infinity 0."""
    every, how = ir.Constant(_I16, -1), ir.Constant(_I32, _AS_SET)
    over = call(b, "llvm.x86.avx512.mask.reduce.ps.512", _FLOATS, x, ir.Constant(_I32, _DOWN), _all(0.0), every, how)
    p = _all(_POWERS[0])
    for factor in _POWERS[1:]:
        p = _fma(b, p, over, _all(factor))
    return call(b, "llvm.x86.avx512.mask.scalef.ps.512", _FLOATS, p, x, _all(0.0), every, how)


def _rounded(b: Any, low: Any, high: Any) -> Any:  # noqa: ANN401
    """Thirty-two words."""
    return call(b, "llvm.x86.avx512bf16.cvtne2ps2bf16.512", _PAIR, high, low)


def _each(b: Any, width: Any, code: Callable[[Any], None], *, lanes: int = LANES) -> None:  # noqa: ANN401
    """`code`, given the first of so many columns, for all of a row."""
    with cgutils.for_range(b, b.sdiv(width, number(PANEL))) as loop:
        for part in range(0, PANEL, lanes):
            code(b.add(b.mul(loop.index, number(PANEL)), number(part)))


def _folded(b: Any, value: Any, fold: Callable[[Any, Any, Any], Any]) -> Any:  # noqa: ANN401
    """A register's numbers folded into one, which is in all lanes."""
    for apart in (8, 4, 2, 1):
        order = ir.Constant(_INTS, [lane ^ apart for lane in range(LANES)])
        value = fold(b, value, b.shuffle_vector(value, value, order))
    return value


def _add(b: Any, x: Any, y: Any) -> Any:  # noqa: ANN401
    return b.fadd(x, y)


class _Sight(NamedTuple):
    """The stretch of columns a row sees, as a choice needs it."""

    first: Any  # in all lanes
    count: Any  # in all lanes
    is_empty: Any

    def chosen(self, b: Any, column: Any) -> Any:  # noqa: ANN401
        """Which of sixteen columns are seen."""
        lanes = b.add(spread(b, b.trunc(column, _I32)), ir.Constant(_INTS, list(range(LANES))))
        return b.icmp_unsigned("<", b.sub(lanes, self.first), self.count)


def _sight(b: Any, mask: Any, begin: Any) -> _Sight:  # noqa: ANN401
    """Of a row of a mask's bytes (model/seen), counted from a column on."""
    first, last = (_load(b, b.add(mask, number(at)), _I32, align=1) for at in (0, 4))
    count = b.sub(b.add(last, ir.Constant(_I32, 1)), first)
    is_empty = b.icmp_signed("<=", count, ir.Constant(_I32, 0))
    count = b.select(is_empty, ir.Constant(_I32, 0), count)
    return _Sight(spread(b, b.sub(first, b.trunc(begin, _I32))), spread(b, count), is_empty)


def _soften(tall: int) -> Any:  # noqa: ANN401
    """So many rows side by side: what one waits for, another fills."""

    def code(context: Any, b: Any, _: Any, given: Any) -> Any:  # noqa: ANN401
        scores, scores_row, out, out_row, mask, mask_row, begin, width, scale = given
        sources, targets, masks = (
            [b.add(first, b.mul(row, number(r))) for r in range(tall)]
            for first, row in ((scores, scores_row), (out, out_row), (mask, mask_row))
        )
        sights = [_sight(b, one, begin) for one in masks]
        tops, totals = ([cgutils.alloca_once_value(b, _all(start)) for _ in range(tall)] for start in (float("-inf"), 0.0))

        def look(column: Any) -> None:  # noqa: ANN401
            for source, sight, top in zip(sources, sights, tops, strict=True):
                place = _place(b, source, column, _FLOAT)
                shown = b.select(sight.chosen(b, column), _load(b, place, _FLOATS), _all(float("-inf")))
                _store(b, shown, place)
                b.store(_larger(b, shown, b.load(top)), top)

        _each(b, width, look)
        by = b.fmul(spread(b, scale), _all(_LOG2_E))
        largest = [b.fmul(_folded(b, b.load(top), _larger), by) for top in tops]
        less = [b.select(sight.is_empty, _all(0.0), b.fneg(one)) for sight, one in zip(sights, largest, strict=True)]

        def raise_(column: Any) -> None:  # noqa: ANN401
            for source, lower, total in zip(sources, less, totals, strict=True):
                place = _place(b, source, column, _FLOAT)
                found = _power(b, _fma(b, _load(b, place, _FLOATS), by, lower))
                _store(b, found, place)
                b.store(b.fadd(b.load(total), found), total)

        _each(b, width, raise_)
        shares = [b.fdiv(_all(1.0), _folded(b, b.load(total), _add)) for total in totals]
        shares = [b.select(sight.is_empty, _all(0.0), one) for sight, one in zip(sights, shares, strict=True)]

        def write(column: Any) -> None:  # noqa: ANN401
            for source, target, share in zip(sources, targets, shares, strict=True):
                place = _place(b, source, column, _FLOAT)
                halves = (_load(b, b.add(place, number(after * LANES * _FLOAT)), _FLOATS) for after in (0, 1))
                low, high = (b.fmul(half, share) for half in halves)
                found = _rounded(b, low, high)
                _store(b, found, _place(b, source, column, _WORD))  # over scores that have been read
                _store_past(b, found, _place(b, target, column, _WORD))

        _each(b, width, write, lanes=2 * LANES)
        return context.get_dummy_value()

    wanted = types.void(*[types.int64] * 8, types.float32)
    return intrinsic(lambda typing, a, b, c, d, e, f, g, h, i: (wanted, code))  # noqa: ARG005 - numba counts the names


# (scores, bytes to the next row, words, bytes to the next row, mask, bytes to its next row, first column, columns, scale):
# softmax of scale * scores over what the mask's rows see, which must have no holes, 0 elsewhere and in rows that see nothing.
# Scores and words are those of so many columns, in whole steps, from the first column on. The words are written past the
# caches, so their rows begin at multiples of 64 bytes, and once more where the scores were, at the front of each row.
soften_rows, soften_row = _soften(SHORT), _soften(1)


def _slope(tall: int) -> Any:  # noqa: ANN401
    """So many rows side by side, and what they and their weights are as pairs of rows."""

    def code(context: Any, b: Any, _: Any, given: Any) -> Any:  # noqa: ANN401
        grads, grads_row, weights, weights_row, out, out_row, strips, weight_strips, strip, width, scale = given
        sources, lines, targets = (
            [b.add(first, b.mul(row, number(r))) for r in range(tall)]
            for first, row in ((grads, grads_row), (weights, weights_row), (out, out_row))
        )
        means = [cgutils.alloca_once_value(b, _all(0.0)) for _ in range(tall)]

        def add(column: Any) -> None:  # noqa: ANN401
            groups = b.mul(b.sdiv(column, number(LANES)), strip)
            found = []
            for source, line, mean in zip(sources, lines, means, strict=True):
                found.append(_widened(b, _load(b, _place(b, line, column, _WORD), _WORDS)))
                grad = _load(b, _place(b, source, column, _FLOAT), _FLOATS)
                b.store(_fma(b, grad, b.bitcast(found[-1], _FLOATS), b.load(mean)), mean)
            for r in range(0, tall, 2):
                upper = b.lshr(found[r], ir.Constant(_INTS, [16] * LANES))
                pair = b.or_(upper, found[r + 1]) if r + 1 < tall else upper
                _store(b, pair, b.add(b.add(weight_strips, groups), number(r // 2 * LANES * _FLOAT)))

        _each(b, width, add)
        by = spread(b, scale)
        less = [b.fneg(b.fmul(_folded(b, b.load(mean), _add), by)) for mean in means]

        def write(column: Any) -> None:  # noqa: ANN401
            groups = b.mul(b.sdiv(column, number(LANES)), strip)
            found = []
            for source, line, lower in zip(sources, lines, less, strict=True):
                weight = b.bitcast(_widened(b, _load(b, _place(b, line, column, _WORD), _WORDS)), _FLOATS)
                grad = _load(b, _place(b, source, column, _FLOAT), _FLOATS)
                found.append(b.fmul(_fma(b, grad, by, lower), weight))
            for r in range(0, tall, 2):
                other = found[r + 1] if r + 1 < tall else _all(0.0)
                both = _rounded(b, found[r], other)
                for i in range(r, min(r + 2, tall)):
                    own = b.shuffle_vector(both, both, ir.Constant(_INTS, [LANES * (i - r) + lane for lane in range(LANES)]))
                    _store(b, own, _place(b, targets[i], column, _WORD))
                order = [lane // 2 + LANES * (lane % 2) for lane in range(2 * LANES)]
                pair = b.shuffle_vector(both, both, ir.Constant(ir.VectorType(_I32, 2 * LANES), order))
                _store(b, pair, b.add(b.add(strips, groups), number(r // 2 * LANES * _FLOAT)))

        _each(b, width, write)
        return context.get_dummy_value()

    wanted = types.void(*[types.int64] * 10, types.float32)
    return intrinsic(lambda typing, a, b, c, d, e, f, g, h, i, j, k: (wanted, code))  # noqa: ARG005


def _widened(b: Any, words: Any) -> Any:  # noqa: ANN401
    """The bits of float32."""
    return b.shl(b.zext(words, _INTS), ir.Constant(_INTS, [16] * LANES))


# (gradients of weights, bytes to the next row, weights, bytes to the next row, words, bytes to the next row, strips, strips of
# weights, bytes to the next strip, columns in whole steps, scale): scale * weight * (gradient - the sum of weight * gradient),
# into words; and these, and the weights, as pairs of each even row and the row below it (zeros if there is none): strips of
# sixteen columns, of which each is given where the pairs of the first row stand.
slope_rows, slope_two, slope_one = _slope(SHORT), _slope(2), _slope(1)
