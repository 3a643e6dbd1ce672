"""model/fused_layers: layer norm in one pass over memory, as encoders want it.

bfloat16 in, float32 arithmetic, one rounding at the end; a row's result depends on that row alone. Gradients are wired up in
model/norms. Every tensor must be contiguous.
"""

import numpy as np
import torch
from jaxtyping import BFloat16, Float
from torch import Tensor

from whorl.model.team import Loop, claimed, floats, kept, narrow, number, rows_at_once, wide, words

__all__ = ["layer_normed", "layer_normed_backward"]


def layer_normed(
    x: BFloat16[Tensor, "... d"], weight: Float[Tensor, " d"], bias: Float[Tensor, " d"], *, eps: float
) -> tuple[BFloat16[Tensor, "... d"], Float[Tensor, "2 n"]]:
    """(x - mean) / sqrt(var + eps) * weight + bias; and mean and 1 / sqrt of each row, float32 (2 n)."""
    d, rows = x.shape[-1], x.numel() // x.shape[-1]
    out, stats = torch.empty_like(x), torch.empty(2, rows)
    _NORM.run(rows, rows_at_once(d), x, weight, bias, out, stats, d, float(eps))
    return out, stats


def layer_normed_backward(
    x: Tensor, weight: Tensor, *, stats: Tensor, grad: Tensor, straight: Tensor | None = None
) -> tuple[Tensor, Float[Tensor, " d"], Float[Tensor, " d"]]:
    """Gradients of x, weight and bias; `straight` as in fused.normed_backward."""
    d, rows = x.shape[-1], x.numel() // x.shape[-1]
    chunk = max(1, -(-rows // 64))  # each chunk adds up its own share of the gradients that all rows share
    grad_x, shares = torch.empty_like(x), torch.zeros(-(-rows // chunk), 2 * d)
    added = x if straight is None else straight  # x is read and not added
    _NORM_BACK.run(rows, chunk, x, weight, stats, grad, grad_x, shares, d, added, int(straight is not None))
    both = shares.sum(0)
    return grad_x, both[:d], both[d:]


@Loop
def _NORM(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802 - compiled, here and below
    d, eps = p[9], number(p[10])
    x, w, b = words(p[4], p[2], d), floats(p[5], 1, d), floats(p[6], 1, d)
    y, stats = words(p[7], p[2], d), floats(p[8], 2, p[2])
    first, end = claimed(p)
    while first < end:
        for r in range(first, end):
            total = np.float32(0)
            for j in range(d):
                total += wide(x[r, j])
            mean, spread = total / np.float32(d), np.float32(0)
            for j in range(d):
                spread += (wide(x[r, j]) - mean) * (wide(x[r, j]) - mean)
            by = np.float32(1) / np.sqrt(spread / np.float32(d) + eps)
            stats[0, r] = mean
            stats[1, r] = by
            for j in range(d):
                y[r, j] = narrow((wide(x[r, j]) - mean) * by * w[0, j] + b[0, j])
        first, end = claimed(p)


@Loop
def _NORM_BACK(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802
    d = p[10]
    x, w, stats = words(p[4], p[2], d), floats(p[5], 1, d), floats(p[6], 2, p[2])
    g, out, share = words(p[7], p[2], d), words(p[8], p[2], d), floats(p[9], p[2] // p[3] + 1, 2 * d)
    straight, is_added = words(p[11], p[2], d), np.uint8(p[12])
    first, end = claimed(p)
    while first < end:
        mine = first // p[3]
        for r in range(first, end):
            mean, by = stats[0, r], stats[1, r]
            level, along = np.float32(0), np.float32(0)
            for j in range(d):
                s = wide(g[r, j]) * w[0, j]
                level += s
                along += s * (wide(x[r, j]) - mean)
            level, along = level / np.float32(d), along * by * by / np.float32(d)
            for j in range(d):
                slope, away = wide(g[r, j]), wide(x[r, j]) - mean
                share[mine, j] += slope * away * by
                share[mine, d + j] += slope
                past = kept(wide(straight[r, j]), is_added)
                out[r, j] = narrow(by * (slope * w[0, j] - level - away * along) + past)
        first, end = claimed(p)
