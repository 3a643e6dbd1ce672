"""model/gates: gated activations in one pass over memory: silu(gate) * up and gelu(gate) * up.

bfloat16 in, float32 arithmetic, one rounding at the end. Gradients are wired up in model/kernels, which also has the torch
operations to use where these cannot run. Every tensor must be contiguous. Knows no other activation.
"""

from typing import Final

import numpy as np
import torch
from jaxtyping import BFloat16
from torch import Tensor

from whorl.model.team import Loop, claimed, exponential, inline, rounded, rows_at_once, wide, words

__all__ = ["GELU", "SILU", "gate_row", "gate_row_back", "gated", "gated_backward"]

SILU: Final = 0  # the activations, as the loops are told; gelu is the exact one
GELU: Final = 1


def gated(both: BFloat16[Tensor, "... f"], activation: int) -> BFloat16[Tensor, "... e"]:
    """activation(gate) * up, of gates and behind them ups."""
    width = both.shape[-1] // 2
    out = both.new_empty(*both.shape[:-1], width)
    _GATE.run(out.numel() // width, rows_at_once(width), both, out, width, activation)
    return out


def gated_backward(both: Tensor, activation: int, *, grad: Tensor) -> BFloat16[Tensor, "... f"]:
    """Gradient of gates and ups."""
    out, width = torch.empty_like(both), grad.shape[-1]
    _GATE_BACK.run(grad.numel() // width, rows_at_once(width), both, grad, out, width, activation)
    return out


@Loop
def _GATE(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802 - compiled, here and below
    width, activation = p[6], p[7]
    both, out = words(p[4], p[2], 2 * width), words(p[5], p[2], width)
    first, end = claimed(p)
    while first < end:
        for r in range(first, end):
            gate_row(both[r, :width], both[r, width:], out[r], activation)
        first, end = claimed(p)


@Loop
def _GATE_BACK(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802
    width, activation = p[7], p[8]
    both, grad, out = words(p[4], p[2], 2 * width), words(p[5], p[2], width), words(p[6], p[2], 2 * width)
    first, end = claimed(p)
    while first < end:
        for r in range(first, end):
            gate_row_back(both[r, :width], both[r, width:], grad[r], out[r, :width], out[r, width:], activation)
        first, end = claimed(p)


@inline
def gate_row(gate, up, out, activation):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """A row of gated numbers. Chosen once a row: a choice for each number would keep numbers from going side by side."""
    if activation == SILU:
        _silu(gate, up, out)
    else:
        _gelu(gate, up, out)


@inline
def gate_row_back(gate, up, grad, grad_gate, grad_up, activation):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """A row of gradients of both sides."""
    if activation == SILU:
        _silu_back(gate, up, grad, grad_gate, grad_up)
    else:
        _gelu_back(gate, up, grad, grad_gate, grad_up)


@inline
def _silu(gate, up, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for i in range(len(out)):
        x = wide(gate[i])
        out[i] = rounded(x / (np.float32(1) + exponential(-x)) * wide(up[i]))


@inline
def _silu_back(gate, up, grad, grad_gate, grad_up):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for i in range(len(grad)):
        x, g = wide(gate[i]), wide(grad[i])
        open_by = np.float32(1) / (np.float32(1) + exponential(-x))
        passed = x * open_by
        grad_up[i] = rounded(g * passed)
        grad_gate[i] = rounded(g * wide(up[i]) * (open_by + passed * (np.float32(1) - open_by)))


@inline
def _gelu(gate, up, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for i in range(len(out)):
        x = wide(gate[i])
        below, _ = _below(x)
        out[i] = rounded(x * below * wide(up[i]))


@inline
def _gelu_back(gate, up, grad, grad_gate, grad_up):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for i in range(len(grad)):
        x, g = wide(gate[i]), wide(grad[i])
        below, density = _below(x)
        grad_up[i] = rounded(g * x * below)
        grad_gate[i] = rounded(g * wide(up[i]) * (below + x * density * np.float32(0.3989422804)))


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
