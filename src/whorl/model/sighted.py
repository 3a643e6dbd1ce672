"""model/sighted: softmax attention that multiplies only what is seen, a few queries at a time, while it is near.

Queries go in groups that share a stretch of keys from the first to the last that any of them sees, in steps of 64: causal rows
cost half of all products and windows a band, and scores never leave the nearest caches. What the softmax gave is kept for the
gradients, in bfloat16. Each key head of each row of the batch is one thread's, so the result does not depend on how many there
are. Masks are those of model/seen; queries that see nothing get zeros. Between products: model/rows. Wired up in model/kernels.
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
from whorl.model.rows import slope_one, slope_rows, slope_two, soften_row, soften_rows
from whorl.model.seen import EDGES, first_seen, has_holes, last_seen
from whorl.model.team import (
    Loop,
    bits,
    claimed,
    clear_row,
    floats,
    inline,
    narrow_row,
    number,
    taken,
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
    assert weights.data_ptr() % 64 == 0, "torch's memory begins at whole lines of 64 bytes"
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
    room += _BLOCK // 2 * (3 * steps + broad)
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
def _seen(mask, first, end):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The first key that any of these rows of a mask sees, and the end of them; one key if they see none."""
    begin, stop = np.int64(0), np.int64(0)
    for r in range(first, end):
        last = last_seen(mask[r]) + 1
        if last > 0:
            begin = min(begin, first_seen(mask[r])) if stop > 0 else first_seen(mask[r])
            stop = max(stop, last)
    return begin, max(stop, 1)


@inline
def _steps_seen(mask, first, end):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The same in whole steps."""
    begin, stop = _seen(mask, first, end)
    return begin // PANEL * PANEL, _whole(stop)


@inline
def _across(source, rows, c, target):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Rows of c numbers become columns: panels of 64 rows, c / 2 pairs deep, zeros last."""
    for row in range(0, _whole(rows), LANES):
        for pair in range(0, c // 2, LANES):
            place = target + ((row // PANEL * (c // 2) + pair) * PANEL + row % PANEL) * 4
            across_words(source + (row * c + 2 * pair) * 2, c * 2, rows - row, place, PANEL * 4, c // 2 - pair)


@inline
def _along(source, row, rows, c, target, pairs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Rows of c numbers, `row` bytes apart, become lines of pairs: panels of 64 numbers, so many pairs deep, zeros last."""
    is_even = c % LANES == 0 and 2 * pairs == rows  # then nobody asks for every register whether it is whole
    for pair in range(pairs if is_even else 0):
        first = source + 2 * pair * row
        for column in range(0, c, LANES):
            place = target + ((column // PANEL * pairs + pair) * PANEL + column % PANEL) * 4
            along_words(first + column * 2, first + row + column * 2, place, LANES, LANES)
    for pair in range(0 if is_even else pairs):
        upper, lower = 2 * pair < rows, 2 * pair + 1 < rows
        first = source + 2 * pair * row
        for column in range(0, c, LANES):
            place, left = target + ((column // PANEL * pairs + pair) * PANEL + column % PANEL) * 4, c - column
            along_words(first + column * 2, first + row + column * 2, place, left if upper else 0, left if lower else 0)


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
def _added(out, c, strips, deep, mask, begin, stop, panels):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0913
    """Rows of float32 sums, one for each column of the strips, and what those rows of a block that see it add to them."""
    low = 0
    for row in range(begin, stop, SHORT):
        while low < len(mask) and last_seen(mask[low]) < row:
            low += 1
        end = len(mask)
        while end > low and first_seen(mask[end - 1]) >= row + SHORT:
            end -= 1
        if low < end:
            pair, column = low // 2, row - begin
            left = strips + (column // LANES * LANES * deep + column % LANES + pair * LANES) * 4
            for channel in range(0, c, PANEL):
                place, panel = out + (column * c + channel) * 4, panels + (channel * deep + pair * PANEL) * 4
                pairs = (end + 1) // 2 - pair
                tile_from_there(place, c * 4, left, 4, LANES * 4, panel, PANEL * 4, pairs, c - channel)


@inline
def _sloped(grads, weights, out, steps, rows, strips, deep, width, scale):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0913
    """Slopes of SHORT rows or fewer, in rows and as pairs; behind their strips stand those of weights."""
    behind, strip = strips + _BLOCK // 2 * steps * 4, deep * LANES * 4
    if rows == SHORT:
        slope_rows(grads, steps * 4, weights, steps * 2, out, steps * 2, strips, behind, strip, width, scale)
    else:
        if rows >= 2:
            slope_two(grads, steps * 4, weights, steps * 2, out, steps * 2, strips, behind, strip, width, scale)
        if rows % 2:
            r = rows - 1
            grad, weight, into, after = grads + r * steps * 4, weights + r * steps * 2, out + r * steps * 2, r // 2 * LANES * 4
            slope_one(grad, 0, weight, 0, into, 0, strips + after, behind + after, strip, width, scale)


@inline
def _hide(scores, mask):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Nothing of what is not seen, in a row that sees its columns with holes between them."""
    for j in range(len(scores)):
        scores[j] = scores[j] if mask[j] else np.float32(-np.inf)


@inline
def _weigh(scores, steps, out, look, mask, rows, begin, stop, scale):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0913
    """Softmax of SHORT rows of scores or fewer over what they see of the columns from begin to stop, into words, and over
    the scores, from where they are multiplied."""
    for r in range(rows):
        if has_holes(mask[r]):
            held = min(stop, mask.shape[1] - EDGES) - begin
            _hide(floats(scores + r * steps * 4, 1, held)[0], mask[r, EDGES + begin :])
    wide_look = mask.shape[1]
    if rows == SHORT:
        soften_rows(scores, steps * 4, out, steps * 2, look, wide_look, begin, stop - begin, scale)
    else:
        for r in range(rows):
            place = scores + r * steps * 4
            soften_row(place, 0, out + r * steps * 2, 0, look + r * wide_look, 0, begin, stop - begin, scale)


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
                from_, to = _steps_seen(mask, block, last)
                for time in range(block, last, SHORT):
                    rows = min(SHORT, last - time)
                    near, far = _seen(mask, time, time + rows)
                    begin, stop = near // PANEL * PANEL, _whole(far)
                    for key in range(begin, stop, PANEL):
                        panel, left = keys + key * (c // 2) * 4, queries + time * c * 2
                        _floats(scores + (key - begin) * 4, steps * 4, left, c * 2, rows, panel, c // 2, stop - key)
                    line, look = weights + time * steps * 2, p[7] + (row % masks * t + time) * (s + EDGES)
                    _weigh(scores, steps, line + begin * 2, look, mask[time : time + rows], rows, begin, stop, scale)
                    for r in range(rows):
                        clear_row(words(line + r * steps * 2, 1, steps)[0, from_:begin])
                        clear_row(words(line + r * steps * 2, 1, steps)[0, stop:to])
                    pair, pairs = near // 2, (far + 1) // 2 - near // 2
                    left, panel = scores + (2 * pair - begin) * 2, values + pair * PANEL * 4
                    _rounded(out + time * h * c * 2, h * c * 2, left, steps * 4, rows, panel, pairs, steps // 2, c)
        first, end = claimed(p)


@Loop
def _LOOK_BACK(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802 - one loop nest
    room, h, kv, t, s, c, masks, scale = p[15], p[16], p[17], p[18], p[19], p[20], p[21], number(p[22])
    steps, broad, group, looks = _whole(s), _whole(c), h // kv, bits(p[7], masks * t, s + EDGES)
    values = p[13] + taken(p, 14) * room * 4
    keys = values + steps * (c // 2) * 4
    slopes = keys + broad * (steps // 2) * 4
    sums = slopes + SHORT * steps * 4  # of keys, then of values
    block = sums + 2 * steps * c * 4
    strips = block + _BLOCK // 2 * steps * 4  # of slopes
    others = strips + _BLOCK // 2 * steps * 4  # of weights
    lines = others + _BLOCK // 2 * steps * 4  # of queries, then of the gradient
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
                begin, stop = _steps_seen(mask, time, time + rows)
                grads, weights = p[8] + ((row * t + time) * h + head) * c * 2, p[9] + ((at + time) * steps + begin) * 2
                deep = (rows + 1) // 2
                for r in range(0, rows, SHORT):
                    few, grad = min(SHORT, rows - r), grads + r * h * c * 2
                    for key in range(begin, stop, PANEL):
                        panel = values + key * (c // 2) * 4
                        _floats(slopes + (key - begin) * 4, steps * 4, grad, h * c * 2, few, panel, c // 2, stop - key)
                    own, into, strip = weights + r * steps * 2, block + r * steps * 2, strips + r // 2 * LANES * 4
                    _sloped(slopes, own, into, steps, few, strip, deep, stop - begin, scale)
                    near, far = _seen(mask, time + r, time + r + few)
                    pair, pairs = near // 2, (far + 1) // 2 - near // 2
                    place, left, panel = p[10] + (at + time + r) * c * 2, into + (2 * pair - begin) * 2, keys + pair * PANEL * 4
                    _rounded(place, c * 2, left, steps * 2, few, panel, pairs, steps // 2, c)
                near, looks_on = sums + begin * c * 4, mask[time : time + rows]
                _along(p[4] + (at + time) * c * 2, c * 2, rows, c, lines, deep)
                _added(near, c, strips, deep, looks_on, begin, stop, lines)
                _along(grads, h * c * 2, rows, c, lines, deep)
                _added(near + steps * c * 4, c, others, deep, looks_on, begin, stop, lines)
        one = np.float32(1)
        narrow_row(floats(sums, 1, s * c)[0], one, words(p[11] + first * s * c * 2, 1, s * c)[0])
        narrow_row(floats(sums + steps * c * 4, 1, s * c)[0], one, words(p[12] + first * s * c * 2, 1, s * c)[0])
        first, end = claimed(p)
