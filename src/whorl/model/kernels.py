"""model/kernels: operations with hand-written backward passes, where autograd's chain of small steps costs most on a CPU.

Each equals the plain formula in its docstring, proved in float32. In bf16 sums run in float32 inside torch's kernels and each
product is rounded once. No second derivatives. Does not hold parameters.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from whorl.model.rope import Turn

__all__ = ["Heads", "rms_norm", "squared_relu", "turned_heads"]

Heads = tuple[Float[Tensor, "b h t c"], Float[Tensor, "b k t c"], Float[Tensor, "b k t c"]]  # queries, keys, values


def rms_norm(x: Float[Tensor, "... d"], weight: Float[Tensor, " d"], *, eps: float) -> Float[Tensor, "... d"]:
    """x / sqrt(mean(x^2) + eps) * weight over the last axis, in the dtype of x."""
    apply: Any = _Norm.apply  # untyped in torch, here and below
    out: Tensor = apply(x, weight, eps)
    return out


def squared_relu(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """max(x, 0)^2."""
    apply: Any = _SquaredReLU.apply
    out: Tensor = apply(x)
    return out


def turned_heads(
    fused: Float[Tensor, "b t n c"], turn: Turn, *, num_kv: int, norm_weight: Float[Tensor, "m c"] | None, eps: float
) -> Heads:
    """Split a projection that holds all query, then key, then value heads; norm queries and keys; turn them to their place.

    `norm_weight` has a row for each query and key head; None: no norm. Results are contiguous.
    """
    apply: Any = _TurnedHeads.apply
    heads: Heads = apply(fused, norm_weight, turn, num_kv, eps)
    return heads


def _inverse_rms(x: Tensor, eps: float) -> Tensor:
    """1 / sqrt(mean(x^2) + eps) over the last axis, kept, in the dtype of x."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True).float()
    return (norm.square() / x.shape[-1] + eps).rsqrt().to(x.dtype)


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:  # noqa: ANN401 - autograd's context has no type
        scale, cast = _inverse_rms(x, eps), weight.to(x.dtype)
        unit = x * scale
        ctx.save_for_backward(unit, scale, cast)
        ctx.weight_dtype = weight.dtype
        return unit * cast

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        unit, scale, weight = ctx.saved_tensors
        per_weight = grad * unit
        along = torch.matmul(per_weight, weight.unsqueeze(-1))  # ... 1: d times the mean of grad * weight * unit
        grad_x = (grad * weight).addcmul_(unit, along, value=-1.0 / unit.shape[-1]).mul_(scale)
        return grad_x, per_weight.flatten(0, -2).sum(0).to(ctx.weight_dtype), None


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
            scale, cast = _inverse_rms(turning, eps), weight.to(fused.dtype)
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
