"""model/norms: norms over the last axis, alone and beside the stream they read.

Each equals the plain formula in its docstring, proved in float32. In bfloat16 on a CPU a norm is one pass over memory forward
and one backward (model/fused, model/fused_layers); elsewhere torch's operations. No second derivatives. Does not hold
parameters.

https://arxiv.org/abs/1910.07467, https://arxiv.org/abs/1607.06450
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from whorl.model import fused as one_pass
from whorl.model import fused_layers

__all__ = ["Beside", "inverse_rms", "layer_norm", "layer_norm_beside", "rms_norm", "rms_norm_beside"]


class Beside(NamedTuple):
    """A residual stream and its norm. Who reads both takes both from here: their gradients then come back together, and one
    pass adds them in float32, where autograd would go over memory once more and round twice."""

    stream: Float[Tensor, "... d"]  # the memory that was given, not a copy
    normed: Float[Tensor, "... d"]


def rms_norm(x: Float[Tensor, "... d"], weight: Float[Tensor, " d"], *, eps: float) -> Float[Tensor, "... d"]:
    """x / sqrt(mean(x^2) + eps) * weight over the last axis, in the dtype of x."""
    is_one_pass = one_pass.can_run(x) and weight.dtype is torch.float32
    apply: Any = _OnePassNorm.apply if is_one_pass else _Norm.apply  # untyped in torch, here and below
    out: Tensor = apply(x, weight, eps)
    return out


def rms_norm_beside(x: Float[Tensor, "... d"], weight: Float[Tensor, " d"], *, eps: float) -> Beside:
    """x and rms_norm(x)."""
    if not _is_summed(x, weight):
        return Beside(x, rms_norm(x, weight, eps=eps))
    apply: Any = _OnePassNormBeside.apply
    return Beside(*apply(x, weight, eps))


def _is_summed(x: Tensor, weight: Tensor) -> bool:
    """Whether x gets gradients that a loop can add."""
    return torch.is_grad_enabled() and x.requires_grad and one_pass.can_run(x) and weight.dtype is torch.float32


def layer_norm(
    x: Float[Tensor, "... d"], weight: Float[Tensor, " d"], bias: Float[Tensor, " d"] | None, *, eps: float
) -> Float[Tensor, "... d"]:
    """(x - mean(x)) / sqrt(var(x) + eps) * weight (+ bias) over the last axis, in the dtype of x."""
    if not (one_pass.can_run(x) and weight.dtype is torch.float32):
        given = None if bias is None else bias.to(x.dtype)
        return functional.layer_norm(x, x.shape[-1:], weight.to(x.dtype), given, eps)
    apply: Any = _OnePassLayerNorm.apply
    out: Tensor = apply(x, weight, bias, eps)
    return out


def layer_norm_beside(
    x: Float[Tensor, "... d"], weight: Float[Tensor, " d"], bias: Float[Tensor, " d"] | None, *, eps: float
) -> Beside:
    """x and layer_norm(x)."""
    if not _is_summed(x, weight):
        return Beside(x, layer_norm(x, weight, bias, eps=eps))
    apply: Any = _OnePassLayerNormBeside.apply
    return Beside(*apply(x, weight, bias, eps))


def inverse_rms(x: Tensor, eps: float) -> Tensor:
    """1 / sqrt(mean(x^2) + eps) over the last axis, kept, in the dtype of x."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True).float()
    return (norm.square() / x.shape[-1] + eps).rsqrt().to(x.dtype)


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:  # noqa: ANN401 - autograd's context has no type
        scale, cast = inverse_rms(x, eps), weight.to(x.dtype)
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


class _OnePassNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:  # noqa: ANN401
        x, weight = x.contiguous(), weight.detach()
        out, scale = one_pass.normed(x, weight, eps=eps)
        ctx.save_for_backward(x, weight, scale)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        x, weight, scale = ctx.saved_tensors
        return *one_pass.normed_backward(x, weight, scale=scale, grad=grad.contiguous()), None


class _OnePassNormBeside(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        return x, _OnePassNorm.forward(ctx, x, weight, eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, straight: Tensor, grad: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        x, weight, scale = ctx.saved_tensors
        grad, straight = grad.contiguous(), straight.contiguous()
        return *one_pass.normed_backward(x, weight, scale=scale, grad=grad, straight=straight), None


class _OnePassLayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, eps: float) -> Tensor:  # noqa: ANN401
        x, weight = x.contiguous(), weight.detach()
        shift = torch.zeros_like(weight) if bias is None else bias.detach()
        out, stats = fused_layers.layer_normed(x, weight, shift, eps=eps)
        ctx.save_for_backward(x, weight, stats)
        ctx.has_bias = bias is not None
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x, weight, stats = ctx.saved_tensors
        slopes = fused_layers.layer_normed_backward(x, weight, stats=stats, grad=grad.contiguous())
        return slopes[0], slopes[1], slopes[2] if ctx.has_bias else None, None


class _OnePassLayerNormBeside(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, eps: float) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        return x, _OnePassLayerNorm.forward(ctx, x, weight, bias, eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, straight: Tensor, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x, weight, stats = ctx.saved_tensors
        grad, straight = grad.contiguous(), straight.contiguous()
        slopes = fused_layers.layer_normed_backward(x, weight, stats=stats, grad=grad, straight=straight)
        return slopes[0], slopes[1], slopes[2] if ctx.has_bias else None, None
