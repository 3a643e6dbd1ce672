"""model/paged: attention of single tokens over keys and values in blocks that a table tells: how cached tokens are read.

A token's result depends on its own keys alone, to the last bit: not on who else is in the step, on where blocks lie or on the
number of threads. Keys are worked on in spans of fixed places, each with its own softmax, and spans are joined in their order
(https://arxiv.org/abs/1805.02867), so a long context may be spread over threads. All sums are float32. Elsewhere than on this
machine's processor torch's formula on gathered blocks stands in; it keeps neither promise to the last bit. Stores nothing: who
owns the blocks has written keys and values before.
"""

from array import array
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor
from torch.nn import functional

from whorl.model.steps import Kind
from whorl.model.team import (
    HAS_BFLOAT,
    Loop,
    as_number,
    can_run,
    claimed,
    exponential,
    float_of,
    floats,
    inline,
    ints,
    longs,
    narrow,
    number,
    sortable,
    wide,
    words,
)
from whorl.model.tile import COLUMNS, ROWS, WIDTHS, ask, blend, exact, stack, tile

__all__ = ["paged_attention"]

_SPAN: Final = 256  # places of a softmax of its own: its keys and scores stay in a core's first cache
_MAX_CHANNELS: Final = 512  # of a head: what threads have room for
_FEW_PAIRS: Final = 4  # (token, key head) pairs for each thread, below which long contexts are spread over threads
_AHEAD: Final = 2  # blocks of keys: asked for so long before they are read
_CHUNKS: Final = 8  # that each thread claims, about


def paged_attention(  # noqa: PLR0913
    q: Float[Tensor, "n h c"],
    keys: Float[Tensor, "blocks k size c"],
    values: Float[Tensor, "blocks k size c"],
    *,
    tables: Int32[Tensor, "r m"],
    rows: Int[Tensor, " n"],
    positions: Int[Tensor, " n"],
    window: int | None,
) -> Float[Tensor, "n h c"]:
    """softmax(q k^T / sqrt(c)) v of each token over the keys at places up to its own (within `window`, its own included).

    Token i belongs to row rows[i] and stands at positions[i]; the key of place p of a row is in block tables[row, p // size]
    at p % size. Head h reads key head h * k // heads. Table entries past the last place of a row are never followed by loops
    (and must be below `blocks` otherwise; below 0 is taken as 0).
    """
    if _can_loop(q, keys, values):
        return _looped(q, keys, values, (tables.int(), rows.long(), positions.long()), window or 0)
    return _gathered(q, keys, values, tables[rows], positions, window)


def _can_loop(q: Tensor, keys: Tensor, values: Tensor) -> bool:
    fits = q.dtype is keys.dtype is values.dtype and q.dtype in (torch.bfloat16, torch.float32) and q.shape[2] <= _MAX_CHANNELS
    return fits and q.device.type == "cpu" and can_run() and keys.is_contiguous() and values.is_contiguous()


def _gathered(
    q: Tensor, keys: Tensor, values: Tensor, blocks: Int32[Tensor, "n m"], positions: Tensor, window: int | None
) -> Float[Tensor, "n h c"]:
    """The same by torch: the blocks of every token side by side, and a mask."""
    places = torch.arange(blocks.shape[1] * keys.shape[2], device=q.device)
    seen = places <= positions[:, None]
    if window is not None:
        seen &= places > positions[:, None] - window
    seen = seen[:, None, :, None]  # n 1 s 1
    own = blocks.clamp(min=0).long()
    # What is not seen may never have been written: it must not even be multiplied by 0.
    k, v = (one[own].transpose(1, 2).flatten(2, 3).masked_fill(~seen, 0) for one in (keys, values))  # n k s c
    mask = seen.transpose(2, 3)
    return functional.scaled_dot_product_attention(q.unsqueeze(2), k, v, mask, enable_gqa=q.shape[1] != k.shape[1]).squeeze(2)


def _looped(q: Tensor, keys: Tensor, values: Tensor, where: tuple[Tensor, Tensor, Tensor], window: int) -> Tensor:
    (n, h, c), (_, num_kv, size, _), (tables, _, positions) = q.shape, keys.shape, where
    given = [q.contiguous(), keys, values, *(one.contiguous() for one in where)]
    out = torch.empty_like(given[0])
    pairs, threads = n * num_kv, torch.get_num_threads()
    spans = 1
    if threads > 1 and pairs < _FEW_PAIRS * threads and tables.shape[1] * size > _SPAN:
        spans = int(positions.max()) // _SPAN + 1  # known to the host: loops only run where it computes
    shares = torch.empty(pairs * spans * (h // num_kv) * (c + 2) if spans > 1 else 0)
    sizes = (out.data_ptr(), shares.data_ptr(), n, h, num_kv, c, size, tables.shape[1], tables.shape[0], window, spans)
    own = (*(one.data_ptr() for one in given), *sizes, _KINDS[q.dtype], as_number(c**-0.5))
    units = pairs * spans
    chunk = max(1, units // (threads * _CHUNKS))
    _ATTEND.start(array("q", (0, 0, units, chunk, *own)))
    if spans > 1:
        _JOIN.start(array("q", (0, 0, pairs, 1, *own)))
    return out


_PAIRS, _WIDENED, _FULL = range(3)  # kinds of product, as the loops are told
_KINDS = {torch.bfloat16: _PAIRS if HAS_BFLOAT else _WIDENED, torch.float32: _FULL}
_pairs, _widened, _full = (tile(kind) for kind in (Kind(16, 16, is_dot=HAS_BFLOAT), Kind(16, 16), Kind(32, 32)))
_blend_narrow, _blend_wide = blend(16), blend(32)
_LINE = _SPAN + ROWS  # of scores: they come by fours
_scores, _shares = stack(COLUMNS * _LINE), stack(2 * COLUMNS * (_MAX_CHANNELS + 2))
_WIDE, _NARROW = WIDTHS


@Loop
def _ATTEND(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802 - compiled, here and below
    """Pairs of a token and a key head; head after head, so that tokens of one row find its keys in the cache."""
    first, end = claimed(p)
    while first < end:
        for unit in range(first, end):
            _unit(p, unit)
        first, end = claimed(p)


@Loop
def _JOIN(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802
    """Spans that were worked on apart."""
    group = p[13] // p[14]
    first, end = claimed(p)
    while first < end:
        for pair in range(first, end):
            for head in range(0, group, COLUMNS):
                _joined(p, pair, head)
        first, end = claimed(p)


@inline
def _unit(p, unit):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """A pair, or one span of it."""
    spans = p[20]
    for head in range(0, p[13] // p[14], COLUMNS):
        if spans == 1:
            _whole(p, unit, head)
        else:
            _part(p, unit // spans, head, unit % spans)


@inline
def _stride(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Bytes from one key or query to the next."""
    return p[15] * (np.int64(4) if p[21] == _FULL else np.int64(2))


@inline
def _range(p, pair):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Places a token sees, first and end."""
    end = longs(p[9], p[12])[pair % p[12]] + 1
    return max(np.int64(0), end - p[19]) if p[19] else np.int64(0), end


@inline
def _share(p, pair, head, span):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Where a span worked on apart is kept."""
    return p[11] + 4 * ((pair * p[20] + span) * (p[13] // p[14]) + head) * (p[15] + 2)


@inline
def _whole(p, pair, head):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """All spans of up to four query heads, one after another."""
    num, c = min(COLUMNS, p[13] // p[14] - head), p[15]
    own = _shares()
    begin, end = _range(p, pair)
    state, fresh = floats(own, num, c + 2), own + 4 * num * (c + 2)
    _clear(state)
    for span in range(begin // _SPAN, (end - 1) // _SPAN + 1):
        _fill(p, pair, head, max(begin, span * _SPAN), min(end, (span + 1) * _SPAN), fresh)
        _join(state, floats(fresh, num, c + 2))
    _finish(p, pair, head, state)


@inline
def _part(p, pair, head, span):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """One span, kept for the others."""
    begin, end = _range(p, pair)
    begin, end = max(begin, span * _SPAN), min(end, (span + 1) * _SPAN)
    if begin < end:
        _fill(p, pair, head, begin, end, _share(p, pair, head, span))


@inline
def _joined(p, pair, head):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """What _whole does, of spans that are there already."""
    num, c = min(COLUMNS, p[13] // p[14] - head), p[15]
    begin, end = _range(p, pair)
    state = floats(_shares(), num, c + 2)
    _clear(state)
    for span in range(begin // _SPAN, (end - 1) // _SPAN + 1):
        _join(state, floats(_share(p, pair, head, span), num, c + 2))
    _finish(p, pair, head, state)


@inline
def _clear(state):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Rows of sums, then their largest score and their total weight: of no key."""
    c = state.shape[1] - 2
    for s in range(state.shape[0]):
        state[s, :] = np.float32(0)
        state[s, c] = -np.float32(np.inf)


@inline
def _join(state, fresh):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Add a span to those before it."""
    c = state.shape[1] - 2
    for s in range(state.shape[0]):
        top = state[s, c] if state[s, c] > fresh[s, c] else fresh[s, c]
        old, new = exponential(state[s, c] - top), exponential(fresh[s, c] - top)
        for j in range(c):
            state[s, j] = state[s, j] * old + fresh[s, j] * new
        state[s, c + 1] = state[s, c + 1] * old + fresh[s, c + 1] * new
        state[s, c] = top


@inline
def _finish(p, pair, head, state):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Divide by the total weight and round."""
    n, h, c = p[12], p[13], p[15]
    first = (pair % n) * h + pair // n * (h // p[14]) + head
    for s in range(state.shape[0]):
        by = np.float32(1) / state[s, c + 1]
        if p[21] == _FULL:
            row = floats(p[10], n * h, c)[first + s]
            for j in range(c):
                row[j] = state[s, j] * by
        else:
            line = words(p[10], n * h, c)[first + s]
            for j in range(c):
                line[j] = narrow(state[s, j] * by)


@inline
def _fill(p, pair, head, begin, end, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Up to four query heads over the places of one span: sums of values, largest score, total weight."""
    n, h, num_kv, c, size = p[12], p[13], p[14], p[15], p[16]
    token, group, scores = pair % n, h // num_kv, _scores()
    num = min(COLUMNS, group - head)
    stride = _stride(p)
    table = ints(p[7], p[18], p[17])[longs(p[8], n)[token]]
    q = p[4] + (token * h + pair // n * group + head) * stride
    place = begin
    while place < end:
        until, at = _run(p, table, pair // n, place, end, stride)
        ask(p[6] + at, (until - place) * stride)
        if place + _AHEAD * size < end:
            _, there = _run(p, table, pair // n, place + _AHEAD * size, end, stride)
            ask(p[5] + there, size * stride)
        _score(p, q, num, p[5] + at, until - place, scores + 4 * (place - begin))
        place = until
    shares = floats(out, num, c + 2)
    for s in range(num):
        shares[s, :] = np.float32(0)
        shares[s, c], shares[s, c + 1] = _softmax(scores + 4 * _LINE * s, end - begin, number(p[22]))
    place = begin
    while place < end:
        until, at = _run(p, table, pair // n, place, end, stride)
        _gather(p, p[6] + at, until - place, scores + 4 * (place - begin), num, out)
        place = until


@inline
def _run(p, table, kv_head, place, end, stride):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The places from `place` on that stand side by side: their end, and how far in the memory of keys they begin."""
    size = p[16]
    inside = place % size
    return min(end, place - inside + size), ((np.int64(table[place // size]) * p[14] + kv_head) * size + inside) * stride


@exact
def _score(p, q, num, keys, count, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Queries times keys that stand side by side."""
    none, stride = np.int64(0), _stride(p)
    given = (q, stride, num, keys, stride, count, p[15], none, out, np.int64(4 * _LINE), none)
    if p[21] == _PAIRS:
        _pairs(given)
    elif p[21] == _WIDENED:
        _widened(given)
    else:
        _full(given)


@inline
def _softmax(scores, count, scale):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Scores become weights, not yet divided by their total; the largest scaled score and the total."""
    row, keys = floats(scores, 1, count)[0], ints(scores, 1, count)[0]
    key, total = np.int32(-(2**31)), np.float32(0)
    for j in range(count):
        found = sortable(keys[j])
        key = found if found > key else key
    top = float_of(sortable(key))
    for j in range(count):
        weight = exponential((row[j] - top) * scale)
        row[j] = weight
        total += weight
    return top * scale, total


@exact
def _gather(p, values, count, weights, num, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Weights times values that stand side by side."""
    c, column, row_bytes, stride = p[15], np.int64(0), 4 * (p[15] + 2), _stride(p)
    while column + _NARROW <= c:
        width = np.int64(_WIDE) if column + _WIDE <= c else np.int64(_NARROW)
        here = out + 4 * column
        if p[21] == _FULL:
            _blend_wide((values + 4 * column, stride, count, weights, np.int64(4 * _LINE), num, width, here, row_bytes))
        else:
            _blend_narrow((values + 2 * column, stride, count, weights, np.int64(4 * _LINE), num, width, here, row_bytes))
        column += width
    given, shares = floats(weights, COLUMNS, _LINE), floats(out, num, c + 2)
    for s in range(num):
        for k in range(count):
            for j in range(column, c):
                value = floats(values, count, c)[k, j] if p[21] == _FULL else wide(words(values, count, c)[k, j])
                shares[s, j] += given[s, k] * value
