"""model/kernels: operations with hand-written backward passes, where autograd's chain of small steps costs most on a CPU.

Each equals the plain formula in its docstring, proved in float32. In bfloat16 on a CPU whole formulas run in one pass
(model/fused, model/fused_layers, model/gates); elsewhere in torch's operations, whose sums run in float32 and whose products
are rounded one by one. No second derivatives. Does not hold parameters.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from whorl.model import fused as one_pass
from whorl.model import gates, sighted, turns
from whorl.model.norms import inverse_rms
from whorl.model.rope import Turn
from whorl.model.seen import bytes_seen
from whorl.model.turns import HeadNorm

__all__ = ["Heads", "attended", "gelu_gated", "silu_gated", "squared_relu", "stacked", "turned_heads"]

Heads = tuple[Float[Tensor, "b h t c"], Float[Tensor, "b k t c"], Float[Tensor, "b k t c"]]  # queries, keys, values


def silu_gated(both: Float[Tensor, "... f"]) -> Float[Tensor, "... e"]:
    """gate / (1 + exp(-gate)) * up, of gates and behind them ups."""
    return _gated(both, gates.SILU, functional.silu)


def gelu_gated(both: Float[Tensor, "... f"]) -> Float[Tensor, "... e"]:
    """gelu(gate) * up, of gates and behind them ups, with the exact gelu."""
    return _gated(both, gates.GELU, functional.gelu)


def stacked(weights: tuple[Float[Tensor, "_ ..."], ...], dtype: torch.dtype) -> Float[Tensor, "o ..."]:
    """The weights one below another, in another dtype: one pass over each, none for one that is right already."""
    if len(weights) == 1:
        return weights[0].to(dtype)
    apply: Any = _Stacked.apply
    out: Tensor = apply(dtype, *weights)
    return out


def attended(
    q: Float[Tensor, "b h t c"], k: Float[Tensor, "b k s c"], v: Float[Tensor, "b k s c"], mask: UInt8[Tensor, "m t w"]
) -> Float[Tensor, "b h t c"]:
    """softmax(q k^T / sqrt(c)) v over what the mask shows (`seen_bytes`); bfloat16 on a CPU. A group of queries is
    stacked along time, so keys are never copied."""
    if not one_pass.can_run(q, k, v):  # somebody traces
        return functional.scaled_dot_product_attention(q, k, v, bytes_seen(mask)[:, None], enable_gqa=True)
    apply: Any = _Look.apply if sighted.can_look(q, k) else _Attend.apply
    out: Tensor = apply(q, k, v, mask)
    return out


def squared_relu(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """max(x, 0)^2."""
    apply: Any = _SquaredReLU.apply
    out: Tensor = apply(x)
    return out


def turned_heads(fused: Float[Tensor, "b t n c"], turn: Turn, *, num_kv: int, norm: HeadNorm | None) -> Heads:
    """Split a projection that holds all query, then key, then value heads; norm queries and keys; turn them to their place.

    Results are contiguous.
    """
    apply: Any
    heads: Heads
    if one_pass.can_run(fused) and (norm is None or norm.q.dtype is norm.k.dtype is torch.float32):
        weights = (None, None, 0.0) if norm is None else norm
        apply = _OnePassTurn.apply
        heads = apply(fused, turn, num_kv, *weights)
        return heads
    num_q = fused.shape[2] - 2 * num_kv
    weight = None if norm is None else torch.cat([norm.q.expand(num_q, -1), norm.k.expand(num_kv, -1)])
    apply = _TurnedHeads.apply
    heads = apply(fused, weight, turn, num_kv, 0.0 if norm is None else norm.eps)
    return heads


def _gated(both: Tensor, activation: int, in_torch: Callable[[Tensor], Tensor]) -> Tensor:
    """activation(gate) * up, the activation by its number in model/gates and by torch."""
    if not one_pass.can_run(both):
        gate, up = both.chunk(2, dim=-1)
        return in_torch(gate) * up
    apply: Any = _Gate.apply
    out: Tensor = apply(both, activation)
    return out


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, both: Tensor, activation: int) -> Tensor:  # noqa: ANN401
        both = both.contiguous()
        ctx.save_for_backward(both)
        ctx.activation = activation
        return gates.gated(both, activation)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        (both,) = ctx.saved_tensors
        return gates.gated_backward(both, ctx.activation, grad=grad.contiguous()), None


class _Stacked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *weights: Tensor) -> Tensor:  # noqa: ANN401
        ctx.sizes, ctx.dtypes = [len(one) for one in weights], [one.dtype for one in weights]
        out = weights[0].new_empty(sum(ctx.sizes), *weights[0].shape[1:], dtype=dtype)
        for place, one in zip(torch.split(out, ctx.sizes), weights, strict=True):
            place.copy_(one)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        return None, *(part.to(dtype) for part, dtype in zip(torch.split(grad, ctx.sizes), ctx.dtypes, strict=True))


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:  # noqa: ANN401
        b, kv_heads, s, c = k.shape
        stacked = q.reshape(b * kv_heads, -1, c)  # bk gt c
        keys, values = k.reshape(b * kv_heads, s, c), v.reshape(b * kv_heads, s, c)
        scores = torch.bmm(stacked, keys.transpose(1, 2))  # bk gt s
        weights = one_pass.softmax_(scores, mask, scale=c**-0.5, heads=q.shape[1])
        ctx.save_for_backward(stacked, keys, values, weights, mask)
        ctx.heads = q.shape[1], kv_heads
        return torch.bmm(weights, values).view(q.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        q, keys, values, weights, mask = ctx.saved_tensors
        heads, kv_heads = ctx.heads
        grad = grad.reshape(q.shape)
        slopes = torch.bmm(grad, values.transpose(1, 2))  # bk gt s
        slopes = one_pass.softmax_backward_(slopes, weights, mask=mask, scale=q.shape[-1] ** -0.5, heads=heads)
        grad_q = torch.bmm(slopes, keys).view(len(q) // kv_heads, heads, -1, q.shape[-1])
        grad_k, grad_v = torch.bmm(slopes.transpose(1, 2), q), torch.bmm(weights.transpose(1, 2), grad)
        shape = (len(q) // kv_heads, kv_heads, *keys.shape[1:])
        return grad_q, grad_k.view(shape), grad_v.view(shape), None


class _Look(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:  # noqa: ANN401
        given = q.contiguous(), k.contiguous(), v.contiguous()
        out, weights = sighted.looked(*given, mask)
        ctx.save_for_backward(*given, weights, mask)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        q, k, v, weights, mask = ctx.saved_tensors
        return *sighted.looked_backward((q, k, v), weights, mask=mask, grad=grad), None


class _OnePassTurn(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, fused: Tensor, turn: Turn, num_kv: int, *norm: Any) -> Heads:  # noqa: ANN401
        fused, own = (
            fused.contiguous(),
            None if norm[0] is None else turns.HeadNorm(norm[0].detach(), norm[1].detach(), norm[2]),
        )
        heads, scale = turns.turned(fused, cos=turn.cos, sin=turn.sin, num_kv=num_kv, norm=own)
        ctx.save_for_backward(*turn, *((fused, scale, own.q, own.k) if own else ()))
        ctx.eps = norm[2]
        return heads

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        q, k, v = (grad.contiguous() for grad in grads)
        cos, sin, *normed = ctx.saved_tensors
        if not normed:
            return turns.turned_backward((q, k, v), cos=cos, sin=sin), *[None] * 5
        fused, scale, q_weight, k_weight = normed
        norm = turns.HeadNorm(q_weight, k_weight, ctx.eps)
        out, *slopes = turns.normed_backward((q, k, v), fused=fused, scale=scale, cos=cos, sin=sin, norm=norm)
        return out, None, None, *slopes, None


class _SquaredReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ANN401
        positive = x.relu()
        ctx.save_for_backward(positive)
        return positive.square()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # noqa: ANN401
        (positive,) = ctx.saved_tensors
        out: Tensor = (grad * positive).mul_(2.0)
        return out


class _TurnedHeads(torch.autograd.Function):
    """Works on whole rows of n c numbers: flat products run twice as fast as products per head, and the copy that puts heads
    first is cheap."""

    @staticmethod
    def forward(ctx: Any, fused: Tensor, weight: Tensor | None, turn: Turn, num_kv: int, eps: float) -> Heads:  # noqa: ANN401
        num_q = fused.shape[2] - 2 * num_kv
        turning, values = fused[:, :, : num_q + num_kv], fused[:, :, num_q + num_kv :]
        unit, scale, cast, normed = None, None, None, turning
        if weight is not None:
            scale, cast = inverse_rms(turning, eps), weight.to(fused.dtype)
            unit = turning * scale
            normed = unit * cast
        ctx.save_for_backward(unit, scale, cast, *turn)
        ctx.weight_dtype = None if weight is None else weight.dtype
        turned = (normed * turn.cos).addcmul_(_swapped(normed), turn.sin)  # b t m c
        return _heads_first(turned[:, :, :num_q]), _heads_first(turned[:, :, num_q:]), _heads_first(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        unit, scale, weight, cos, sin = ctx.saved_tensors
        turned = torch.cat([grads[0].transpose(1, 2), grads[1].transpose(1, 2)], dim=2)  # b t m c
        # Turning back is the transposed turn: the swapped half enters with the other sign.
        grad_x = (turned * cos).addcmul_(_swapped(turned), sin, value=-1.0)
        grad_weight = None
        if weight is not None:
            per_weight = grad_x * unit
            along = (per_weight * weight).sum(dim=-1, keepdim=True)  # b t m 1: c times the mean
            grad_weight = per_weight.flatten(0, 1).sum(0).to(ctx.weight_dtype)
            grad_x = grad_x.mul_(weight).addcmul_(unit, along, value=-1.0 / unit.shape[-1]).mul_(scale)
        return torch.cat([grad_x, grads[2].transpose(1, 2)], dim=2), grad_weight, None, None, None


def _swapped(x: Tensor) -> Tensor:
    """Each channel's partner in its place."""
    return x.roll(x.shape[-1] // 2, dims=-1)


def _heads_first(x: Tensor) -> Tensor:
    """(b t h c) copied as (b h t c)."""
    return x.transpose(1, 2).contiguous()
