"""model/turns: a projection split into heads, queries and keys normed and turned to their place, in one pass over memory.

bfloat16 in, float32 arithmetic, one rounding at the end; a row's result depends on that row alone. Gradients are wired up in
model/kernels. Every tensor must be contiguous.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import BFloat16, Float
from torch import Tensor

from whorl.model.team import Loop, claimed, copy_row, floats, inline, narrow, number, rows_at_once, wide, words

__all__ = ["HeadNorm", "normed_backward", "table_shape", "turn_head", "turned", "turned_backward"]

_SHARES = 64  # parts of the rows, each of which adds up its own share of what all rows share


class HeadNorm(NamedTuple):
    """RMSNorm over the channels of each query head and of each key head."""

    q: Float[Tensor, " c"]
    k: Float[Tensor, " c"]
    eps: float


def turned(
    fused: BFloat16[Tensor, "b t n c"], *, cos: Tensor, sin: Tensor, num_kv: int, norm: HeadNorm | None
) -> tuple[tuple[Tensor, Tensor, Tensor], Float[Tensor, "r m"]]:
    """Query, key and value heads, heads first; queries and keys normed, then turned. And 1 / rms of each of those heads, by row
    of b and t; of nothing without a norm. `cos` and `sin`: rotary tables (1 or b, t, m, c)."""
    b, t, n, c = fused.shape
    num_q = n - 2 * num_kv
    q, k, v = (fused.new_empty(b, heads, t, c) for heads in (num_q, num_kv, num_kv))
    scale = torch.empty(b * t, num_q + num_kv) if norm else torch.empty(0, num_q + num_kv)
    _TURN.run(
        b * t, rows_at_once(n * c), fused, q, k, v, cos, sin, t, num_q, num_kv, c, *table_shape(cos), *_normed(norm), scale
    )
    return (q, k, v), scale


def turned_backward(grads: tuple[Tensor, Tensor, Tensor], *, cos: Tensor, sin: Tensor) -> BFloat16[Tensor, "b t n c"]:
    """Gradient of what was split and turned without a norm."""
    q, k, v = grads
    b, num_q, t, c = q.shape
    num_kv = k.shape[1]
    out = q.new_empty(b, t, num_q + 2 * num_kv, c)
    _TURN_BACK.run(
        b * t, rows_at_once(c * (num_q + 2 * num_kv)), out, q, k, v, cos, sin, t, num_q, num_kv, c, *table_shape(cos)
    )
    return out


def normed_backward(
    grads: tuple[Tensor, Tensor, Tensor],
    *,
    fused: BFloat16[Tensor, "b t n c"],
    scale: Float[Tensor, "r m"],
    cos: Tensor,
    sin: Tensor,
    norm: HeadNorm,
) -> tuple[BFloat16[Tensor, "b t n c"], Float[Tensor, " c"], Float[Tensor, " c"]]:
    """Gradients of what was split, normed and turned, and of both norms."""
    q, k, v = grads
    b, t, n, c = fused.shape
    num_kv, out = k.shape[1], torch.empty_like(fused)
    chunk = max(1, -(-b * t // _SHARES))
    shares = torch.zeros(-(-b * t // chunk), 2 * c)
    own = (*table_shape(cos), *_normed(norm), scale, fused, shares)
    _NORM_BACK.run(b * t, chunk, out, q, k, v, cos, sin, t, n - 2 * num_kv, num_kv, c, *own)
    both = shares.sum(0)
    return out, both[:c], both[c:]


def table_shape(cos: Tensor) -> tuple[int, int]:
    """Numbers from one place of a rotary table to the next, and how many places it has."""
    return cos.stride(1), cos.shape[0] * cos.shape[1]


def _normed(norm: HeadNorm | None) -> tuple[Tensor | int, Tensor | int, float]:
    return (0, 0, 0.0) if norm is None else (norm.q, norm.k, float(norm.eps))


@inline
def turn_head(source, target, cos, sin, sign):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled, here and below
    """One head. `sin` has its first half negated, so its second half is the sine itself."""
    half = len(source) // 2
    for j in range(half):
        x, y = wide(source[j]), wide(source[j + half])
        c, s = wide(cos[j]), sign * wide(sin[j + half])
        target[j] = narrow(x * c - y * s)
        target[j + half] = narrow(y * c + x * s)


@inline
def _inverse_rms(source, eps):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    total = np.float32(0)
    for j in range(len(source)):
        total += wide(source[j]) * wide(source[j])
    return np.float32(1) / np.sqrt(total / np.float32(len(source)) + eps)


@inline
def _norm_head(source, target, cos, sin, weight, by):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    half = len(source) // 2
    for j in range(half):
        x, y = wide(source[j]) * by * weight[j], wide(source[j + half]) * by * weight[j + half]
        c, s = wide(cos[j]), wide(sin[j + half])
        target[j] = narrow(x * c - y * s)
        target[j + half] = narrow(y * c + x * s)


@inline
def _back_sums(grad, source, cos, sin, weight, by, share):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0913
    """Add to the norm's own gradient; the mean slope along the head."""
    half, along = len(source) // 2, np.float32(0)
    for j in range(half):
        a, b = wide(grad[j]), wide(grad[j + half])
        c, s = wide(cos[j]), wide(sin[j + half])
        x, y = wide(source[j]) * by, wide(source[j + half]) * by
        low, high = (a * c + b * s) * x, (b * c - a * s) * y
        share[j] += low
        share[j + half] += high
        along += low * weight[j] + high * weight[j + half]
    return along / np.float32(len(source))


@inline
def _back_head(grad, source, target, cos, sin, weight, by, along):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0913
    half = len(source) // 2
    for j in range(half):
        a, b = wide(grad[j]), wide(grad[j + half])
        c, s = wide(cos[j]), wide(sin[j + half])
        x, y = wide(source[j]) * by, wide(source[j + half]) * by
        target[j] = narrow(by * ((a * c + b * s) * weight[j] - x * along))
        target[j + half] = narrow(by * ((b * c - a * s) * weight[j + half] - y * along))


@Loop
def _TURN(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802
    t, num_q, num_kv, c, eps = p[10], p[11], p[12], p[13], number(p[18])
    n, m, b = num_q + 2 * num_kv, num_q + num_kv, p[2] // t
    x, q = words(p[4], p[2] * n, c), words(p[5], b * num_q * t, c)
    k, v = words(p[6], b * num_kv * t, c), words(p[7], b * num_kv * t, c)
    tables = words(p[8], p[15], p[14]), words(p[9], p[15], p[14])
    q_weight, k_weight, scale = floats(p[16], 1, c)[0], floats(p[17], 1, c)[0], floats(p[19], p[2], m)
    first, end = claimed(p)
    while first < end:
        for r in range(first, end):
            row, time, place = r // t, r % t, r % p[15]
            cos, sin = tables[0][place, :c], tables[1][place, :c]  # of contiguous rows: else nothing is vectorised
            for h in range(m):
                source = x[r * n + h]
                target = q[(row * num_q + h) * t + time] if h < num_q else k[(row * num_kv + h - num_q) * t + time]
                if p[16] == 0:
                    turn_head(source, target, cos, sin, np.float32(1))
                else:
                    scale[r, h] = _inverse_rms(source, eps)
                    _norm_head(source, target, cos, sin, q_weight if h < num_q else k_weight, scale[r, h])
            for h in range(num_kv):
                copy_row(x[r * n + m + h], v[(row * num_kv + h) * t + time])
        first, end = claimed(p)


@Loop
def _TURN_BACK(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802
    t, num_q, num_kv, c = p[10], p[11], p[12], p[13]
    n, m, b = num_q + 2 * num_kv, num_q + num_kv, p[2] // t
    x, q = words(p[4], p[2] * n, c), words(p[5], b * num_q * t, c)
    k, v = words(p[6], b * num_kv * t, c), words(p[7], b * num_kv * t, c)
    tables = words(p[8], p[15], p[14]), words(p[9], p[15], p[14])
    first, end = claimed(p)
    while first < end:
        for r in range(first, end):
            row, time, place = r // t, r % t, r % p[15]
            cos, sin = tables[0][place, :c], tables[1][place, :c]
            for h in range(m):
                grad = q[(row * num_q + h) * t + time] if h < num_q else k[(row * num_kv + h - num_q) * t + time]
                turn_head(grad, x[r * n + h], cos, sin, np.float32(-1))
            for h in range(num_kv):
                copy_row(v[(row * num_kv + h) * t + time], x[r * n + m + h])
        first, end = claimed(p)


@Loop
def _NORM_BACK(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802
    t, num_q, num_kv, c = p[10], p[11], p[12], p[13]
    n, m, b = num_q + 2 * num_kv, num_q + num_kv, p[2] // t
    out, q, k = words(p[4], p[2] * n, c), words(p[5], b * num_q * t, c), words(p[6], b * num_kv * t, c)
    v, x, shares = words(p[7], b * num_kv * t, c), words(p[20], p[2] * n, c), floats(p[21], 2 * (p[2] // p[3] + 1), c)
    tables = words(p[8], p[15], p[14]), words(p[9], p[15], p[14])
    q_weight, k_weight, scale = floats(p[16], 1, c)[0], floats(p[17], 1, c)[0], floats(p[19], p[2], m)
    first, end = claimed(p)
    while first < end:
        mine = 2 * (first // p[3])
        for r in range(first, end):
            row, time, place = r // t, r % t, r % p[15]
            cos, sin = tables[0][place, :c], tables[1][place, :c]
            for h in range(m):
                is_q = h < num_q
                grad = q[(row * num_q + h) * t + time] if is_q else k[(row * num_kv + h - num_q) * t + time]
                weight, share = (q_weight, shares[mine]) if is_q else (k_weight, shares[mine + 1])
                along = _back_sums(grad, x[r * n + h], cos, sin, weight, scale[r, h], share)
                _back_head(grad, x[r * n + h], out[r * n + h], cos, sin, weight, scale[r, h], along)
            for h in range(num_kv):
                copy_row(v[(row * num_kv + h) * t + time], out[r * n + m + h])
        first, end = claimed(p)
