"""model/fused_layers: layer norm and the gelu gate in one pass over memory, as encoders want them.

bfloat16 in, float32 arithmetic, one rounding at the end; a row's result depends on that row alone. Gradients are wired up in
model/kernels. Every tensor must be contiguous.
"""

import numpy as np
import torch
from jaxtyping import BFloat16, Float
from torch import Tensor

from whorl.model.team import Loop, claimed, exponential, floats, inline, narrow, number, wide, words

__all__ = ["gelu_gated", "gelu_gated_backward", "layer_normed", "layer_normed_backward"]

_CHUNK = 16_384  # numbers a thread claims at a time


def layer_normed(
    x: BFloat16[Tensor, "... d"], weight: Float[Tensor, " d"], bias: Float[Tensor, " d"], *, eps: float
) -> tuple[BFloat16[Tensor, "... d"], Float[Tensor, "2 n"]]:
    """(x - mean) / sqrt(var + eps) * weight + bias; and mean and 1 / sqrt of each row, float32 (2 n)."""
    d, rows = x.shape[-1], x.numel() // x.shape[-1]
    out, stats = torch.empty_like(x), torch.empty(2, rows)
    _NORM.run(rows, max(1, _CHUNK // d), x, weight, bias, out, stats, d, float(eps))
    return out, stats


def layer_normed_backward(
    x: Tensor, weight: Tensor, *, stats: Tensor, grad: Tensor
) -> tuple[Tensor, Float[Tensor, " d"], Float[Tensor, " d"]]:
    """Gradients of x, weight and bias."""
    d, rows = x.shape[-1], x.numel() // x.shape[-1]
    chunk = max(1, -(-rows // 64))  # each chunk adds up its own share of the gradients that all rows share
    grad_x, shares = torch.empty_like(x), torch.zeros(-(-rows // chunk), 2 * d)
    _NORM_BACK.run(rows, chunk, x, weight, stats, grad, grad_x, shares, d)
    both = shares.sum(0)
    return grad_x, both[:d], both[d:]


def gelu_gated(both: BFloat16[Tensor, "... f"]) -> BFloat16[Tensor, "... e"]:
    """gelu(gate) * up, of gates and behind them ups, with the exact gelu."""
    width = both.shape[-1] // 2
    out = both.new_empty(*both.shape[:-1], width)
    _GATE.run(out.numel() // width, max(1, _CHUNK // width), both, out, width)
    return out


def gelu_gated_backward(both: Tensor, *, grad: Tensor) -> BFloat16[Tensor, "... f"]:
    """Gradient of gates and ups."""
    out, width = torch.empty_like(both), grad.shape[-1]
    _GATE_BACK.run(grad.numel() // width, max(1, _CHUNK // width), both, grad, out, width)
    return out


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
                out[r, j] = narrow(by * (slope * w[0, j] - level - away * along))
        first, end = claimed(p)


@inline
def _below(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The share of a normal distribution below x, to 1e-7 (Abramowitz and Stegun, 7.1.26), and its density times sqrt(2 pi)."""
    size = x if x > np.float32(0) else -x
    density = exponential(np.float32(-0.5) * x * x)
    t = np.float32(1) / (np.float32(1) + np.float32(0.23164189) * size)  # 0.3275911 / sqrt 2
    tail = np.float32(1.061405429)
    tail = tail * t - np.float32(1.453152027)
    tail = tail * t + np.float32(1.421413741)
    tail = tail * t - np.float32(0.284496736)
    tail = tail * t + np.float32(0.254829592)
    tail = np.float32(0.5) * tail * t * density
    return (np.float32(1) - tail if x > np.float32(0) else tail), density


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
        below, _ = _below(x)
        out[i] = narrow(x * below * wide(up[i]))


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
        below, density = _below(x)
        grad_up[i] = narrow(g * x * below)
        grad_gate[i] = narrow(g * wide(up[i]) * (below + x * density * np.float32(0.3989422804)))
