"""model/turned_maps: queries, keys and values of attention as one map with its gradients: heads turn while they are near.

The numbers are those of a product and turns one after another (model/maps, model/turns), to the bit; the projection itself is
never written as a whole. Heads are not normed on the way: a norm wants to see the projection again for its gradient. Does not
hold weights, and leaves everything it cannot do to those two: see `can_turn`.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import BFloat16, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from whorl.model.lanes import PANEL
from whorl.model.maps import can_map, is_watched, weight_gradients
from whorl.model.products import block_of, multiplied, panel_at, panels_across, panels_along, times_panel
from whorl.model.rope import Turn
from whorl.model.team import Loop, claimed, copy_row, inline, taken, words
from whorl.model.turns import table_shape, turn_head, turned_backward

__all__ = ["Weights", "can_turn", "turned_maps"]

Weights = tuple[Float[Tensor, "_ d"], Float[Tensor, "o d"], Float[Tensor, "o d"]]  # of queries, keys and values
Heads = tuple[BFloat16[Tensor, "b h t c"], BFloat16[Tensor, "b k t c"], BFloat16[Tensor, "b k t c"]]


def can_turn(x: Tensor, weights: Weights, turn: Turn) -> bool:
    """Whether `turned_maps` does this: what `mapped` does, heads that fill whole panels or of which several fill one, and
    nobody watching."""
    c = turn.cos.shape[-1]
    fits = (PANEL % c == 0 or c % PANEL == 0) and not any(len(weight) % max(c, PANEL) for weight in weights)
    return fits and not is_watched() and can_map(x, weights)


def turned_maps(x: BFloat16[Tensor, "b t d"], weights: Weights, turn: Turn) -> Heads:
    """Heads first, contiguous; queries and keys turned to their place."""
    apply: Any = _TurnedMaps.apply  # untyped in torch
    heads: Heads = apply(x, turn, *weights)
    return heads


class _TurnedMaps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, turn: Turn, *weights: Tensor) -> Heads:  # noqa: ANN401
        (b, t, d), c = x.shape, turn.cos.shape[-1]
        flat = x.reshape(-1, d).contiguous()
        q, k, v = (flat.new_empty(b, len(weight) // c, t, c) for weight in weights)
        pads = flat.new_empty(torch.get_num_threads(), block_of(b * t) * max(c, PANEL))
        sizes = (t, q.shape[1], k.shape[1], c, *table_shape(turn.cos), d // 2)
        _TURNED.run(
            b * t, block_of(b * t), flat, panels_across(weights), q, k, v, turn.cos, turn.sin, *sizes, pads, pads.shape[1], 0
        )
        ctx.save_for_backward(flat, *turn, *weights)
        return q, k, v

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x, cos, sin, *weights = ctx.saved_tensors
        q, k, v = (grad.contiguous() for grad in grads)
        slopes = turned_backward((q, k, v), cos=cos, sin=sin)
        b, t, _, _ = slopes.shape
        flat, wanted = slopes.view(b * t, -1), ctx.needs_input_grad
        grad_x = multiplied(flat, panels_along(tuple(weights)), columns=x.shape[1]).view(b, t, -1) if wanted[0] else None
        return grad_x, None, *(weight_gradients(weights, flat, x) if any(wanted[2:]) else [None] * 3)


@Loop
def _TURNED(p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, N802 - compiled, here and below
    """As many panels of the projection as hold a whole head, and at once the heads that they hold."""
    num_q, num_kv, c, pairs = p[12], p[13], p[14], p[17]
    broad, pad = max(c, PANEL), p[18] + taken(p, 20) * p[19] * 2
    first, end = claimed(p)
    while first < end:
        left, rows = p[4] + first * pairs * 4, end - first
        for column in range(0, (num_q + 2 * num_kv) * c, broad):
            for at in range(0, broad, PANEL):
                panel = panel_at(p[5], column + at, 0, pairs)
                times_panel(pad + at * 2, broad * 2, left, pairs * 4, rows, panel, pairs, PANEL)
            for at in range(0, broad, c):
                _head(p, (column + at) // c, first, rows, pad + at * 2)
        first, end = claimed(p)


@inline
def _head(p, head, first, rows, pad):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """So many rows of a head, to where they belong."""
    t, num_q, num_kv, c, b = p[11], p[12], p[13], p[14], p[2] // p[11]
    broad = max(c, PANEL)
    tables = words(p[9], p[16], p[15]), words(p[10], p[16], p[15])
    for r in range(rows):
        row, time, place = (first + r) // t, (first + r) % t, (first + r) % p[16]
        source = words(pad + r * broad * 2, 1, c)[0]
        cos, sin = tables[0][place, :c], tables[1][place, :c]
        if head < num_q:
            turn_head(source, words(p[6], b * num_q * t, c)[(row * num_q + head) * t + time], cos, sin, np.float32(1))
        elif head < num_q + num_kv:
            key = head - num_q
            turn_head(source, words(p[7], b * num_kv * t, c)[(row * num_kv + key) * t + time], cos, sin, np.float32(1))
        else:
            value = head - num_q - num_kv
            copy_row(source, words(p[8], b * num_kv * t, c)[(row * num_kv + value) * t + time])
