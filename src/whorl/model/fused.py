"""model/fused: what torch does in many passes over memory on a CPU, in one: a norm, softmax and its slopes, losses.

bfloat16 in, float32 arithmetic, one rounding at the end; a row's result depends on that row alone. Plain functions on tensors:
gradients are wired up in model/kernels and model/norms, which also have the torch operations to use where these cannot run
(`can_run`). Every tensor must be contiguous.
"""

import numpy as np
import torch
from jaxtyping import BFloat16, Float, Int, UInt8
from torch import Tensor

from whorl.model.seen import EDGES, first_seen, last_seen
from whorl.model.team import (
    Loop,
    bits,
    can_run,
    claimed,
    clear_row,
    decay,
    floats,
    inline,
    kept,
    longs,
    narrow,
    narrow_row,
    number,
    rows_at_once,
    taken,
    wide,
    words,
)

__all__ = [
    "can_run",
    "cross_entropy_",
    "normed",
    "normed_backward",
    "softmax_",
    "softmax_backward_",
]

_SPAN = 64  # columns are worked on in steps of so many: what the compiler unrolls to


def normed(x: BFloat16[Tensor, "... d"], weight: Float[Tensor, " d"], *, eps: float) -> tuple[Tensor, Tensor]:
    """x / sqrt(mean(x^2) + eps) * weight; and 1 / sqrt of each row, float32."""
    d, rows = x.shape[-1], x.numel() // x.shape[-1]
    out, scale = torch.empty_like(x), torch.empty(rows)
    _NORM.run(rows, rows_at_once(d), x, weight, out, scale, d, float(eps))
    return out, scale


def normed_backward(
    x: Tensor, weight: Tensor, *, scale: Tensor, grad: Tensor, straight: Tensor | None = None
) -> tuple[Tensor, Float[Tensor, " d"]]:
    """Gradients of x and weight; `straight` is what x has besides from elsewhere, added before the one rounding."""
    d, rows = x.shape[-1], x.numel() // x.shape[-1]
    chunk = max(1, -(-rows // 64))  # each chunk adds up its own share of the weight's gradient
    grad_x, shares = torch.empty_like(x), torch.zeros(-(-rows // chunk), d)
    added = x if straight is None else straight  # x is read and not added
    _NORM_BACK.run(rows, chunk, x, weight, scale, grad, grad_x, shares, d, added, int(straight is not None))
    return grad_x, shares.sum(0)


def softmax_(scores: BFloat16[Tensor, "n r s"], mask: UInt8[Tensor, "m t w"], *, scale: float, heads: int) -> Tensor:
    """Softmax of scale * scores over what is seen, in place. Rows of `scores` are batch, then head, then time."""
    s, (masks, t, _) = scores.shape[-1], mask.shape
    rows, chunk = scores.numel() // s, rows_at_once(s)
    _SOFTMAX.run(rows, chunk, scores, mask, _pads(s), 0, s, t, heads * t, masks, float(scale))
    return scores


def softmax_backward_(grad: Tensor, weights: Tensor, *, mask: Tensor, scale: float, heads: int) -> Tensor:
    """Gradient of the scores, in place of the gradient of their softmax `weights`."""
    s, (masks, t, _) = grad.shape[-1], mask.shape
    _SOFTMAX_BACK.run(grad.numel() // s, rows_at_once(s), grad, weights, mask, s, t, heads * t, masks, float(scale))
    return grad


def cross_entropy_(logits: BFloat16[Tensor, "n v"], targets: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Nats of each target; the logits become the slopes of these losses, softmax minus one at the target, in place."""
    losses, v = torch.empty(len(logits)), logits.shape[1]
    _LOSS.run(len(logits), 4, logits, targets, losses, _pads(v), 0, v)
    return losses


def _pads(columns: int) -> Float[Tensor, "h n"]:
    """A row of float32 for each thread to write on."""
    return torch.empty(torch.get_num_threads(), columns)


@inline
def _pad(p, index, columns):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled, here and below
    """This thread's row of the pads at `index`, behind which stands how many threads have taken theirs."""
    mine = taken(p, index + 1)
    return floats(p[index], mine + 1, columns)[mine]


@Loop
def _NORM(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802
    d, eps = p[8], number(p[9])
    x, w, y, scale = words(p[4], p[2], d), floats(p[5], 1, d), words(p[6], p[2], d), floats(p[7], 1, p[2])
    first, end = claimed(p)
    while first < end:
        for r in range(first, end):
            total = np.float32(0)
            for j in range(d):
                total += wide(x[r, j]) * wide(x[r, j])
            by = np.float32(1) / np.sqrt(total / np.float32(d) + eps)
            scale[0, r] = by
            for j in range(d):
                y[r, j] = narrow(wide(x[r, j]) * by * w[0, j])
        first, end = claimed(p)


@Loop
def _NORM_BACK(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802
    d = p[10]
    x, w, scale = words(p[4], p[2], d), floats(p[5], 1, d), floats(p[6], 1, p[2])
    g, out, share = words(p[7], p[2], d), words(p[8], p[2], d), floats(p[9], p[2] // p[3] + 1, d)
    straight, is_added = words(p[11], p[2], d), np.uint8(p[12])
    first, end = claimed(p)
    while first < end:
        mine = first // p[3]
        for r in range(first, end):
            by, along = scale[0, r], np.float32(0)
            for j in range(d):
                along += wide(g[r, j]) * w[0, j] * wide(x[r, j])
            back = along * by * by / np.float32(d)
            for j in range(d):
                step = wide(g[r, j]) * by
                share[mine, j] += step * wide(x[r, j])
                past = kept(wide(straight[r, j]), is_added)
                out[r, j] = narrow(step * w[0, j] - wide(x[r, j]) * by * back + past)
        first, end = claimed(p)


@inline
def _largest(row, seen):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The largest number seen, found among the words themselves: turned over where negative, they sort as integers. What is not
    a number sorts above all and so spreads over its row."""
    top = np.int16(-32768)
    for j in range(len(row)):
        shown = np.int16(-np.int16(seen[j]))  # all bits or none: a choice would be a branch
        key = np.int16((_sortable(row[j]) & shown) | (np.int16(-32768) & ~shown))
        top = key if key > top else top
    return wide(_sortable(top))


@inline
def _sortable(word):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """An integer that sorts as the bfloat16 does; of such an integer, the bfloat16."""
    signed = np.int16(word)
    return np.int16(signed ^ ((signed >> np.int16(15)) & np.int16(0x7FFF)))


@inline
def _softmax_row(row, seen, pad, scale):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    top, total = _largest(row, seen), np.float32(0)
    for j in range(len(row)):
        e = kept(decay((wide(row[j]) - top) * scale), seen[j])
        pad[j] = e
        total += e
    narrow_row(pad, np.float32(1) / total, row)


@inline
def _slope_row(row, weights, scale):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    mean = np.float32(0)
    for j in range(len(row)):
        mean += wide(row[j]) * wide(weights[j])
    for j in range(len(row)):
        row[j] = narrow(wide(weights[j]) * (wide(row[j]) - mean) * scale)


@inline
def _span_seen(looks, s):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """First and end of the columns that a row of a mask sees, in whole steps."""
    return first_seen(looks) // _SPAN * _SPAN, min(s, (last_seen(looks) // _SPAN + 1) * _SPAN)


@inline
def _clear_around(row, begin, stop):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    clear_row(row[:begin])
    clear_row(row[stop:])


@Loop
def _SOFTMAX(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802
    s, t, per_batch, masks, scale = p[8], p[9], p[10], p[11], number(p[12])
    scores, mask, pad = words(p[4], p[2], s), bits(p[5], masks * t, s + EDGES), _pad(p, 6, s)
    first, end = claimed(p)
    while first < end:
        for r in range(first, end):
            looks = mask[(r // per_batch) % masks * t + r % t]
            begin, stop = _span_seen(looks, s)
            _softmax_row(scores[r, begin:stop], looks[EDGES + begin : EDGES + stop], pad, scale)
            _clear_around(scores[r], begin, stop)
        first, end = claimed(p)


@Loop
def _SOFTMAX_BACK(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802
    s, t, per_batch, masks, scale = p[7], p[8], p[9], p[10], number(p[11])
    grads, weights, mask = words(p[4], p[2], s), words(p[5], p[2], s), bits(p[6], masks * t, s + EDGES)
    first, end = claimed(p)
    while first < end:
        for r in range(first, end):
            looks = mask[(r // per_batch) % masks * t + r % t]
            begin, stop = _span_seen(looks, s)
            _slope_row(grads[r, begin:stop], weights[r, begin:stop], scale)
            _clear_around(grads[r], begin, stop)
        first, end = claimed(p)


@Loop
def _LOSS(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802
    v = p[9]
    logits, targets, losses, pad = words(p[4], p[2], v), longs(p[5], p[2]), floats(p[6], 1, p[2]), _pad(p, 7, v)
    first, end = claimed(p)
    while first < end:
        for r in range(first, end):
            _loss_row(logits[r], pad, targets[r], losses[0, r : r + 1])
        first, end = claimed(p)


@inline
def _loss_row(row, pad, target, loss):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    key = np.int16(-32768)
    for j in range(len(row)):
        word = _sortable(row[j])
        key = word if word > key else key
    top = wide(_sortable(key))
    total, chosen = np.float32(0), wide(row[target])
    for j in range(len(row)):
        pad[j] = decay(wide(row[j]) - top)
        total += pad[j]
    loss[0] = np.log(total) + top - chosen
    by = np.float32(1) / total
    narrow_row(pad, by, row)
    row[target] = narrow(pad[target] * by - np.float32(1))
