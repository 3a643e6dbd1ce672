"""model/fused: what torch does in many passes over memory on a CPU, in one: norms, gates, softmax and its slopes.

bfloat16 in, float32 arithmetic, one rounding at the end; a row's result depends on that row alone. Plain functions on tensors:
gradients are wired up in model/kernels, which also has the torch operations to use where these cannot run (`can_run`). Every
tensor must be contiguous.
"""

import numpy as np
import torch
from jaxtyping import BFloat16, Bool, Float, Int, UInt8
from torch import Tensor

from whorl.model.team import (
    Loop,
    bits,
    can_run,
    claimed,
    exponential,
    floats,
    inline,
    kept,
    longs,
    narrow,
    number,
    taken,
    wide,
    words,
)

__all__ = [
    "bytes_seen",
    "can_run",
    "cross_entropy_",
    "gated",
    "gated_backward",
    "normed",
    "normed_backward",
    "seen_bytes",
    "softmax_",
    "softmax_backward_",
]

_EDGES = 8  # bytes before each row of a mask: the first column seen and the last, int32 each
_SPAN = 64  # columns are worked on in steps of so many: what the compiler unrolls to
_CHUNK = 16_384  # numbers a thread claims at a time


def normed(x: BFloat16[Tensor, "... d"], weight: Float[Tensor, " d"], *, eps: float) -> tuple[Tensor, Tensor]:
    """x / sqrt(mean(x^2) + eps) * weight; and 1 / sqrt of each row, float32."""
    d, rows = x.shape[-1], x.numel() // x.shape[-1]
    out, scale = torch.empty_like(x), torch.empty(rows)
    _NORM.run(rows, _rows(d), x, weight, out, scale, d, float(eps))
    return out, scale


def normed_backward(x: Tensor, weight: Tensor, *, scale: Tensor, grad: Tensor) -> tuple[Tensor, Float[Tensor, " d"]]:
    """Gradients of x and weight."""
    d, rows = x.shape[-1], x.numel() // x.shape[-1]
    chunk = max(1, -(-rows // 64))  # each chunk adds up its own share of the weight's gradient
    grad_x, shares = torch.empty_like(x), torch.zeros(-(-rows // chunk), d)
    _NORM_BACK.run(rows, chunk, x, weight, scale, grad, grad_x, shares, d)
    return grad_x, shares.sum(0)


def gated(both: BFloat16[Tensor, "... f"]) -> BFloat16[Tensor, "... e"]:
    """silu(gate) * up, of gates and behind them ups."""
    width = both.shape[-1] // 2
    out = both.new_empty(*both.shape[:-1], width)
    _GATE.run(out.numel() // width, _rows(width), both, out, width)
    return out


def gated_backward(both: Tensor, *, grad: Tensor) -> BFloat16[Tensor, "... f"]:
    """Gradient of gates and ups."""
    out, width = torch.empty_like(both), grad.shape[-1]
    _GATE_BACK.run(grad.numel() // width, _rows(width), both, grad, out, width)
    return out


def seen_bytes(seen: Tensor) -> UInt8[Tensor, "b t w"]:
    """A mask (b or 1, t, s) as the softmax reads it: the first and last column that each row sees, then a byte for each."""
    columns = torch.arange(seen.shape[-1], dtype=torch.int32)
    first = torch.where(seen, columns, seen.shape[-1]).amin(-1, keepdim=True)
    last = torch.where(seen, columns, -1).amax(-1, keepdim=True)
    edges = torch.cat([first, last], dim=-1).to(torch.int32)
    return torch.cat([edges.view(torch.uint8), seen.to(torch.uint8)], dim=-1)


def bytes_seen(mask: UInt8[Tensor, "m t w"]) -> Bool[Tensor, "m t s"]:
    """The mask that was made into these bytes."""
    return mask[..., _EDGES:].bool()


def softmax_(scores: BFloat16[Tensor, "n r s"], mask: UInt8[Tensor, "m t w"], *, scale: float, heads: int) -> Tensor:
    """Softmax of scale * scores over what is seen, in place. Rows of `scores` are batch, then head, then time."""
    s, (masks, t, _) = scores.shape[-1], mask.shape
    rows, chunk = scores.numel() // s, _rows(s)
    _SOFTMAX.run(rows, chunk, scores, mask, _pads(s), 0, s, t, heads * t, masks, float(scale))
    return scores


def softmax_backward_(grad: Tensor, weights: Tensor, *, mask: Tensor, scale: float, heads: int) -> Tensor:
    """Gradient of the scores, in place of the gradient of their softmax `weights`."""
    s, (masks, t, _) = grad.shape[-1], mask.shape
    _SOFTMAX_BACK.run(grad.numel() // s, _rows(s), grad, weights, mask, s, t, heads * t, masks, float(scale))
    return grad


def cross_entropy_(logits: BFloat16[Tensor, "n v"], targets: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Nats of each target; the logits become the slopes of these losses, softmax minus one at the target, in place."""
    losses, v = torch.empty(len(logits)), logits.shape[1]
    _LOSS.run(len(logits), 4, logits, targets, losses, _pads(v), 0, v)
    return losses


def _rows(columns: int) -> int:
    return max(1, _CHUNK // columns)


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
                out[r, j] = narrow(step * w[0, j] - wide(x[r, j]) * by * back)
        first, end = claimed(p)


@Loop
def _GATE(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802
    width = p[6]
    both, out = words(p[4], p[2], 2 * width), words(p[5], p[2], width)
    first, end = claimed(p)
    while first < end:
        for r in range(first, end):
            _gate(both[r, :width], both[r, width:], out[r])
        first, end = claimed(p)


@inline
def _gate(gate, up, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for i in range(len(out)):
        x = wide(gate[i])
        out[i] = narrow(x / (np.float32(1) + exponential(-x)) * wide(up[i]))


@Loop
def _GATE_BACK(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802
    width = p[7]
    both, grad, out = words(p[4], p[2], 2 * width), words(p[5], p[2], width), words(p[6], p[2], 2 * width)
    first, end = claimed(p)
    while first < end:
        for r in range(first, end):
            _gate_back(both[r, :width], both[r, width:], grad[r], out[r, :width], out[r, width:])
        first, end = claimed(p)


@inline
def _gate_back(gate, up, grad, grad_gate, grad_up):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for i in range(len(grad)):
        x, g = wide(gate[i]), wide(grad[i])
        open_by = np.float32(1) / (np.float32(1) + exponential(-x))
        passed = x * open_by
        grad_up[i] = narrow(g * passed)
        grad_gate[i] = narrow(g * wide(up[i]) * (open_by + passed * (np.float32(1) - open_by)))


@inline
def _edge(row, at):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The int32 that stands in four bytes of a mask's row."""
    found = np.uint32(row[at]) | np.uint32(row[at + 1]) << np.uint32(8)
    return np.int64(np.int32(found | np.uint32(row[at + 2]) << np.uint32(16) | np.uint32(row[at + 3]) << np.uint32(24)))


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
        e = kept(exponential((wide(row[j]) - top) * scale), seen[j])
        pad[j] = e
        total += e
    by = np.float32(1) / total
    for j in range(len(row)):
        row[j] = narrow(pad[j] * by)


@inline
def _slope_row(row, weights, scale):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    mean = np.float32(0)
    for j in range(len(row)):
        mean += wide(row[j]) * wide(weights[j])
    for j in range(len(row)):
        row[j] = narrow(wide(weights[j]) * (wide(row[j]) - mean) * scale)


@inline
def _clear(row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for j in range(len(row)):
        row[j] = np.uint16(0)


@Loop
def _SOFTMAX(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802
    s, t, per_batch, masks, scale = p[8], p[9], p[10], p[11], number(p[12])
    scores, mask, pad = words(p[4], p[2], s), bits(p[5], masks * t, s + _EDGES), _pad(p, 6, s)
    first, end = claimed(p)
    while first < end:
        for r in range(first, end):
            looks = mask[(r // per_batch) % masks * t + r % t]
            begin = _edge(looks, 0) // _SPAN * _SPAN
            stop = min(s, (_edge(looks, 4) // _SPAN + 1) * _SPAN)
            _softmax_row(scores[r, begin:stop], looks[_EDGES + begin : _EDGES + stop], pad, scale)
            _clear(scores[r, :begin])
            _clear(scores[r, stop:])
        first, end = claimed(p)


@Loop
def _SOFTMAX_BACK(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802
    s, t, per_batch, masks, scale = p[7], p[8], p[9], p[10], number(p[11])
    grads, weights, mask = words(p[4], p[2], s), words(p[5], p[2], s), bits(p[6], masks * t, s + _EDGES)
    first, end = claimed(p)
    while first < end:
        for r in range(first, end):
            looks = mask[(r // per_batch) % masks * t + r % t]
            begin = _edge(looks, 0) // _SPAN * _SPAN
            stop = min(s, (_edge(looks, 4) // _SPAN + 1) * _SPAN)
            _slope_row(grads[r, begin:stop], weights[r, begin:stop], scale)
            _clear(grads[r, :begin])
            _clear(grads[r, stop:])
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
        pad[j] = exponential(wide(row[j]) - top)
        total += pad[j]
    loss[0] = np.log(total) + top - chosen
    by = np.float32(1) / total
    for j in range(len(row)):
        row[j] = narrow(pad[j] * by)
    row[target] = narrow(pad[target] * by - np.float32(1))
