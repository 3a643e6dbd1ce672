"""model/gated_maps: a gated feed-forward as one map with its gradients: what two products give is gated while it is near.

The numbers are those of the products and gates one after another (model/maps, model/gates), to the bit; what is saved is a pass
over memory between them, forward, and two with a tensor that is never written, backward. Does not hold weights, and leaves
everything it cannot do to them: see `can_feed`.
"""

from collections.abc import Mapping
from typing import Any, Final

import torch
from jaxtyping import BFloat16, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from whorl.model.config import Activation
from whorl.model.gates import GELU, SILU, gate_row, gate_row_back
from whorl.model.lanes import PANEL, fetch
from whorl.model.maps import can_map, is_watched, weight_gradients
from whorl.model.products import block_of, multiplied, panel_at, panels_across, panels_along, times_panel
from whorl.model.team import Loop, claimed, inline, taken, words

__all__ = ["Weights", "can_feed", "fed"]

Weights = tuple[Float[Tensor, "e d"], Float[Tensor, "e d"], Float[Tensor, "d e"]]  # of gate, up and down

_NUMBERS: Final[Mapping[Activation, int]] = {"silu": SILU, "gelu": GELU}
_LINE = 32  # words


def can_feed(x: Tensor, weights: Weights, activation: Activation) -> bool:
    """Whether `fed` does this: what `mapped` does, whole panels of an activation that has a loop, and nobody watching."""
    gate, up, down = weights
    fits = activation in _NUMBERS and len(gate) % PANEL == 0 and not is_watched()
    return fits and can_map(x, (gate, up)) and can_map(x, (down,))


def fed(x: BFloat16[Tensor, "... d"], weights: Weights, activation: Activation) -> BFloat16[Tensor, "... d"]:
    """down(activation(gate x) * up x)."""
    apply: Any = _Feed.apply  # untyped in torch
    out: Tensor = apply(x, *weights, _NUMBERS[activation])
    return out


class _Feed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gate: Tensor, up: Tensor, down: Tensor, activation: int) -> Tensor:  # noqa: ANN401
        flat = x.reshape(-1, x.shape[-1]).contiguous()
        (n, d), e = flat.shape, len(gate)
        both, inner = flat.new_empty(n, 2 * e), flat.new_empty(n, e)
        _UP.run(n, block_of(n), flat, panels_across((gate, up)), both, inner, d // 2, e, activation)
        ctx.save_for_backward(flat, both, inner, gate, up, down)
        ctx.activation = activation
        return multiplied(inner, panels_across((down,)), columns=d).view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x, both, inner, gate, up, down = ctx.saved_tensors
        flat = grad.reshape(-1, grad.shape[-1]).contiguous()
        (n, d), e, wanted = flat.shape, len(gate), ctx.needs_input_grad
        slopes, pads = torch.empty_like(both), flat.new_empty(torch.get_num_threads(), block_of(n) * PANEL)
        _SLOPES.run(n, block_of(n), flat, panels_along((down,)), both, slopes, d // 2, e, ctx.activation, pads, 0)
        grad_x = multiplied(slopes, panels_along((gate, up)), columns=d).view_as(grad) if wanted[0] else None
        (grad_down,) = weight_gradients((down,), flat, inner) if wanted[3] else (None,)
        grads = weight_gradients((gate, up), slopes, x) if wanted[1] or wanted[2] else (None, None)
        return grad_x, *grads, grad_down, None


@Loop
def _UP(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802 - compiled, here and below
    """A panel of gates, the panel of ups beside it, and both gated."""
    panels, both, inner, pairs, e, activation = p[5], p[6], p[7], p[8], p[9], p[10]
    first, end = claimed(p)
    while first < end:
        left, rows = p[4] + first * pairs * 4, end - first
        for column in range(0, e, PANEL):
            gate = both + (first * 2 * e + column) * 2
            times_panel(gate, 4 * e, left, pairs * 4, rows, panel_at(panels, column, 0, pairs), pairs, PANEL)
            times_panel(gate + 2 * e, 4 * e, left, pairs * 4, rows, panel_at(panels, e + column, 0, pairs), pairs, PANEL)
            for r in range(rows):
                place = gate + r * 4 * e
                gate_row(_part(place), _part(place + 2 * e), _part(inner + ((first + r) * e + column) * 2), activation)
        first, end = claimed(p)


@Loop
def _SLOPES(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802
    """A panel of the gradient behind the gate, and at once what it is of gates and ups."""
    panels, both, slopes, pairs, e, activation = p[5], p[6], p[7], p[8], p[9], p[10]
    pad = p[11] + taken(p, 12) * p[3] * PANEL * 2
    first, end = claimed(p)
    while first < end:
        left, rows = p[4] + first * pairs * 4, end - first
        for column in range(0, e, PANEL):
            at = (first * 2 * e + column) * 2
            for r in range(rows):  # lines that lie pages apart, wanted when the product is done
                for word in range(0, PANEL, _LINE):
                    fetch(both + at + r * 4 * e + word * 2)
                    fetch(both + at + r * 4 * e + 2 * e + word * 2)
            times_panel(pad, PANEL * 2, left, pairs * 4, rows, panel_at(panels, column, 0, pairs), pairs, PANEL)
            for r in range(rows):
                place, grad = at + r * 4 * e, _part(pad + r * PANEL * 2)
                gate, up = _part(both + place), _part(both + place + 2 * e)
                gate_row_back(gate, up, grad, _part(slopes + place), _part(slopes + place + 2 * e), activation)
        first, end = claimed(p)


@inline
def _part(address):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The words of a row in a panel."""
    return words(address, 1, PANEL)[0]
