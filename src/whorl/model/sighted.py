"""model/sighted: softmax attention that multiplies only what is seen, a few queries at a time, while it is near.

Queries go in groups that share a stretch of keys from the first to the last that any of them sees, in steps of 64: causal rows
cost half of all products and windows a band, and scores never leave the nearest caches. What the softmax gave is kept for the
gradients, in bfloat16. Each key head of each row of the batch is one thread's, so the result does not depend on how many there
are. Masks are those of model/seen. Wired up in model/kernels.
"""

import numpy as np
import torch
from jaxtyping import BFloat16, UInt8
from torch import Tensor

from whorl.model.lanes import (
    LANES,
    PANEL,
    SHORT,
    across_words,
    along_words,
    has_pairs,
    row_from_zero,
    row_to_words,
    short_to_words,
    tile_from_there,
    tile_from_zero,
)
from whorl.model.seen import EDGES, first_seen, last_seen
from whorl.model.team import (
    Loop,
    bits,
    claimed,
    clear_row,
    exponential,
    float_of,
    floats,
    inline,
    ints,
    kept,
    narrow,
    narrow_row,
    number,
    sortable,
    taken,
    wide,
    words,
)

__all__ = ["can_look", "looked", "looked_backward"]

_BLOCK = 64  # queries whose gradients meet keys at once
_FEWEST = 4  # key heads of all rows: fewer would leave threads idle


def can_look(q: Tensor, k: Tensor) -> bool:
    """Whether this machine can, and there is enough to do. Who asks has asked team.can_run too."""
    return has_pairs() and q.shape[-1] % 2 == 0 and k.shape[0] * k.shape[1] >= _FEWEST


def looked(
    q: BFloat16[Tensor, "b h t c"], k: BFloat16[Tensor, "b k s c"], v: BFloat16[Tensor, "b k s c"], mask: UInt8[Tensor, "m t w"]
) -> tuple[BFloat16[Tensor, "b h t c"], BFloat16[Tensor, "b h t p"]]:
    """What was attended, laid out as (b t h c); and the weights, in rows of whole steps: zeros where not seen,
    but anything in steps that none of a block of queries sees."""
    b, h, t, c = q.shape
    kv, s = k.shape[1:3]
    steps = _steps(s)
    out, weights = q.new_empty(b, t, h, c), q.new_empty(b, h, t, steps)
    room = steps * (c // 2) + _steps(c) * (steps // 2) + SHORT * steps
    pads = torch.empty(torch.get_num_threads(), room, dtype=torch.int32)
    _LOOK.run(b * kv, 1, q, k, v, mask, out, weights, pads, 0, room, h, kv, t, s, c, len(mask), float(c**-0.5))
    return out.transpose(1, 2), weights


def looked_backward(
    given: tuple[Tensor, Tensor, Tensor], weights: Tensor, *, mask: Tensor, grad: BFloat16[Tensor, "b h t c"]
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of queries, keys and values."""
    q, k, v = given
    b, h, t, c = q.shape
    kv, s = k.shape[1:3]
    steps, broad = _steps(s), _steps(c)
    rows = grad.transpose(1, 2).contiguous()  # b t h c: as it comes from the map behind attention
    outs = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
    room = steps * (c // 2) + broad * (steps // 2) + SHORT * steps + 2 * steps * c
    room += _BLOCK // 2 * (2 * steps + broad)
    pads = torch.empty(torch.get_num_threads(), room, dtype=torch.int32)
    numbers = (0, room, h, kv, t, s, c, len(mask), float(c**-0.5))
    _LOOK_BACK.run(b * kv, 1, q, k, v, mask, rows, weights, *outs, pads, *numbers)
    return outs


def _steps(columns: int) -> int:
    """Columns in whole steps."""
    return -(-columns // PANEL) * PANEL


@inline
def _whole(columns):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled, here and below
    return (columns + PANEL - 1) // PANEL * PANEL


@inline
def _seen_from(mask, first, end, s):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The first step of keys that any of these rows of a mask sees."""
    begin = s
    for r in range(first, end):
        begin = min(begin, first_seen(mask[r]))
    return begin // PANEL * PANEL


@inline
def _seen_to(mask, first, end):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The end of the last step of keys that any of these rows of a mask sees."""
    stop = 0
    for r in range(first, end):
        stop = max(stop, last_seen(mask[r]) + 1)
    return _whole(stop)


@inline
def _across(source, rows, c, target):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Rows of c numbers become columns: panels of 64 rows, c / 2 pairs deep."""
    for row in range(0, rows, LANES):
        for pair in range(0, c // 2, LANES):
            place = target + ((row // PANEL * (c // 2) + pair) * PANEL + row % PANEL) * 4
            across_words(source + (row * c + 2 * pair) * 2, c * 2, rows - row, place, PANEL * 4, c // 2 - pair)


@inline
def _along(source, row, rows, c, target, pairs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Rows of c numbers, `row` bytes apart, become lines of pairs: panels of 64 numbers, so many pairs deep, zeros last."""
    for pair in range(pairs):
        upper, lower = 2 * pair < rows, 2 * pair + 1 < rows
        first = source + 2 * pair * row
        for column in range(0, c, LANES):
            place, left = target + ((column // PANEL * pairs + pair) * PANEL + column % PANEL) * 4, c - column
            along_words(first + column * 2, first + row + column * 2, place, left if upper else 0, left if lower else 0)


@inline
def _strips(source, row, rows, columns, target):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """A block of rows as pairs, strips of sixteen columns one behind another."""
    deep = (rows + 1) // 2
    for pair in range(deep):
        first, below = source + 2 * pair * row, 2 * pair + 1 < rows
        for column in range(0, columns, LANES):
            place = target + (column * deep + pair * LANES) * 4
            along_words(first + column * 2, first + row + column * 2, place, LANES, LANES if below else 0)


@inline
def _floats(out, out_row, left, left_row, rows, panel, pairs, wanted):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0913
    """SHORT rows or fewer times a panel, in float32."""
    if rows == SHORT:
        tile_from_zero(out, out_row, left, left_row, 4, panel, PANEL * 4, pairs, wanted)
    else:
        for r in range(rows):
            row_from_zero(out + r * out_row, out_row, left + r * left_row, left_row, 4, panel, PANEL * 4, pairs, wanted)


@inline
def _rounded(out, out_row, left, left_row, rows, panels, pairs, deep, c):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0913
    """SHORT rows or fewer times all panels of c columns, each `deep` pairs, in bfloat16."""
    for column in range(0, c, PANEL):
        place, panel, wanted = out + column * 2, panels + column * deep * 4, c - column
        if rows == SHORT:
            short_to_words(place, out_row, left, left_row, 4, panel, PANEL * 4, pairs, wanted)
        else:
            for r in range(rows):
                row_to_words(place + r * out_row, out_row, left + r * left_row, left_row, 4, panel, PANEL * 4, pairs, wanted)


@inline
def _added(out, c, strips, deep, columns, panels):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Rows of float32 sums, one for each column of the strips, and what the block adds to them."""
    for row in range(0, columns, SHORT):
        left = strips + (row // LANES * LANES * deep + row % LANES) * 4
        for column in range(0, c, PANEL):
            place, panel = out + (row * c + column) * 4, panels + column * deep * 4
            tile_from_there(place, c * 4, left, 4, LANES * 4, panel, PANEL * 4, deep, c - column)


@inline
def _softmax(scores, keys, seen, row, scale):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Softmax of scale * scores over what is seen, into a row of words. `keys` are the bits of the scores: the largest is found
    among integers, which is done sixteen at a time, and what is not a number sorts above all and spreads over its row."""
    top = np.int32(-2147483648)
    for j in range(len(keys)):
        shown = np.int32(-np.int32(seen[j]))
        key = np.int32((sortable(keys[j]) & shown) | (np.int32(-2147483648) & ~shown))
        top = key if key > top else top
    largest, total = float_of(sortable(top)), np.float32(0)
    for j in range(len(scores)):
        e = kept(exponential((scores[j] - largest) * scale), seen[j])
        scores[j] = e
        total += e
    narrow_row(scores, np.float32(1) / total, row)


@inline
def _slope(scores, weights, row, scale):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    mean = np.float32(0)
    for j in range(len(scores)):
        mean += scores[j] * wide(weights[j])
    for j in range(len(scores)):
        row[j] = narrow(wide(weights[j]) * (scores[j] - mean) * scale)


@inline
def _weigh(scores, mask, weights, scale):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Softmax of one row over the keys that the mask has bytes for; nothing for those behind them."""
    held = len(mask)
    _softmax(floats(scores, 1, held)[0], ints(scores, 1, held)[0], mask, weights[:held], scale)
    clear_row(weights[held:])


@Loop
def _LOOK(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802
    room, h, kv, t, s, c, masks, scale = p[12], p[13], p[14], p[15], p[16], p[17], p[18], number(p[19])
    steps, group, looks = _whole(s), h // kv, bits(p[7], masks * t, s + EDGES)
    keys = p[10] + taken(p, 11) * room * 4
    values = keys + steps * (c // 2) * 4
    scores = values + _whole(c) * (steps // 2) * 4
    first, end = claimed(p)
    while first < end:
        row = first // kv
        _across(p[5] + first * s * c * 2, s, c, keys)
        _along(p[6] + first * s * c * 2, c * 2, s, c, values, steps // 2)
        mask = looks[row % masks * t : row % masks * t + t]
        for head in range(first % kv * group, first % kv * group + group):
            queries, out = p[4] + (row * h + head) * t * c * 2, p[8] + (row * t * h + head) * c * 2
            weights = p[9] + (row * h + head) * t * steps * 2
            for block in range(0, t, _BLOCK):
                last = min(block + _BLOCK, t)
                from_, to = _seen_from(mask, block, last, s), _seen_to(mask, block, last)
                for time in range(block, last, SHORT):
                    rows = min(SHORT, last - time)
                    begin, stop = _seen_from(mask, time, time + rows, s), _seen_to(mask, time, time + rows)
                    for key in range(begin, stop, PANEL):
                        panel, left = keys + key * (c // 2) * 4, queries + time * c * 2
                        _floats(scores + (key - begin) * 4, steps * 4, left, c * 2, rows, panel, c // 2, stop - key)
                    line = words(weights + time * steps * 2, rows, steps)
                    for r in range(rows):
                        seen = mask[time + r, EDGES + begin : EDGES + min(stop, s)]
                        _weigh(scores + r * steps * 4, seen, line[r, begin:stop], scale)
                        clear_row(line[r, from_:begin])
                        clear_row(line[r, stop:to])
                    left, panel = weights + (time * steps + begin) * 2, values + begin // 2 * PANEL * 4
                    _rounded(
                        out + time * h * c * 2, h * c * 2, left, steps * 2, rows, panel, (stop - begin) // 2, steps // 2, c
                    )
        first, end = claimed(p)


@Loop
def _LOOK_BACK(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802, PLR0915 - one loop nest
    room, h, kv, t, s, c, masks, scale = p[15], p[16], p[17], p[18], p[19], p[20], p[21], number(p[22])
    steps, broad, group, looks = _whole(s), _whole(c), h // kv, bits(p[7], masks * t, s + EDGES)
    values = p[13] + taken(p, 14) * room * 4
    keys = values + steps * (c // 2) * 4
    slopes = keys + broad * (steps // 2) * 4
    sums = slopes + SHORT * steps * 4  # of keys, then of values
    block = sums + 2 * steps * c * 4
    strips = block + _BLOCK // 2 * steps * 4  # of slopes, then of weights
    lines = strips + _BLOCK // 2 * steps * 4  # of queries, then of the gradient
    first, end = claimed(p)
    while first < end:
        row = first // kv
        _across(p[6] + first * s * c * 2, s, c, values)
        _along(p[5] + first * s * c * 2, c * 2, s, c, keys, steps // 2)
        floats(sums, 1, 2 * steps * c)[0, :] = np.float32(0)
        mask = looks[row % masks * t : row % masks * t + t]
        for head in range(first % kv * group, first % kv * group + group):
            at = (row * h + head) * t
            for time in range(0, t, _BLOCK):
                rows = min(_BLOCK, t - time)
                begin, stop = _seen_from(mask, time, time + rows, s), _seen_to(mask, time, time + rows)
                grads, weights = p[8] + ((row * t + time) * h + head) * c * 2, p[9] + ((at + time) * steps + begin) * 2
                for r in range(0, rows, SHORT):
                    few, grad = min(SHORT, rows - r), grads + r * h * c * 2
                    for key in range(begin, stop, PANEL):
                        panel = values + key * (c // 2) * 4
                        _floats(slopes + (key - begin) * 4, steps * 4, grad, h * c * 2, few, panel, c // 2, stop - key)
                    for i in range(few):
                        own = words(weights + (r + i) * steps * 2, 1, stop - begin)[0]
                        into = words(block + (r + i) * steps * 2, 1, stop - begin)[0]
                        held = min(stop, s) - begin
                        _slope(floats(slopes + i * steps * 4, 1, held)[0], own[:held], into[:held], scale)
                        clear_row(into[held:])
                    left, panel = block + r * steps * 2, keys + begin // 2 * PANEL * 4
                    place = p[10] + (at + time + r) * c * 2
                    _rounded(place, c * 2, left, steps * 2, few, panel, (stop - begin) // 2, steps // 2, c)
                deep, near = (rows + 1) // 2, sums + begin * c * 4
                _along(p[4] + (at + time) * c * 2, c * 2, rows, c, lines, deep)
                _strips(block, steps * 2, rows, stop - begin, strips)
                _added(near, c, strips, deep, stop - begin, lines)
                _along(grads, h * c * 2, rows, c, lines, deep)
                _strips(weights, steps * 2, rows, stop - begin, strips)
                _added(near + steps * c * 4, c, strips, deep, stop - begin, lines)
        one = np.float32(1)
        narrow_row(floats(sums, 1, s * c)[0], one, words(p[11] + first * s * c * 2, 1, s * c)[0])
        narrow_row(floats(sums + steps * c * 4, 1, s * c)[0], one, words(p[12] + first * s * c * 2, 1, s * c)[0])
        first, end = claimed(p)
