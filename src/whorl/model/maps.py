"""model/maps: a linear map with its gradients, computed by the products of model/products while somebody trains.

Does not hold weights, and leaves everything that those products cannot do to torch: see `can_map`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import BFloat16, Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils._python_dispatch import _get_current_dispatch_mode

from whorl.model.lanes import LANES
from whorl.model.products import add_gradient_, can_multiply, multiplied, panels_across, panels_along

__all__ = ["can_map", "is_watched", "mapped", "weight_gradients"]

_FEWEST = 64  # vectors worth bringing weights into panels for


def can_map(x: Tensor, weights: tuple[Tensor, ...]) -> bool:
    """Whether `mapped` does this: plain bfloat16 vectors on a CPU, many of them, with a gradient."""
    if x.dtype is not torch.bfloat16 or type(x) is not Tensor or not torch.is_grad_enabled():
        return False
    if x.numel() < _FEWEST * x.shape[-1]:
        return False
    fits = not sum(map(len, weights)) % 2 and not any(len(weight) % LANES for weight in weights[:-1])
    return fits and all(type(weight) in {Tensor, nn.Parameter} for weight in weights) and can_multiply(x, *weights)


def is_watched() -> bool:
    """Whether somebody watches torch's operations, as model/recompute does to keep what they made."""
    return _get_current_dispatch_mode() is not None


def mapped(x: BFloat16[Tensor, "... i"], weights: tuple[Float[Tensor, "_ i"], ...]) -> BFloat16[Tensor, "... o"]:
    """x W^T with the weights one below another, rounded before they are multiplied. Their gradients are not rounded."""
    apply: Any = _Map.apply  # untyped in torch
    out: Tensor = apply(x, *weights)
    return out


def _product(x: BFloat16[Tensor, "n i"], weights: Sequence[Float[Tensor, "_ i"]]) -> BFloat16[Tensor, "n o"]:
    return multiplied(x, panels_across(tuple(weights)), columns=sum(map(len, weights)))


_LIBRARY: Any = torch.library.Library("whorl", "FRAGMENT")  # type: ignore[no-untyped-call] # torch gives it no types
_LIBRARY.define("product(Tensor x, Tensor[] weights) -> Tensor")
_LIBRARY.impl("product", _product, "CPU")


class _Map(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *weights: Tensor) -> Tensor:  # noqa: ANN401 - autograd's context has no type
        flat = x.reshape(-1, x.shape[-1]).contiguous()
        ctx.save_for_backward(flat, *weights)
        made = torch.ops.whorl.product(flat, weights) if is_watched() else _product(flat, weights)
        return made.view(*x.shape[:-1], made.shape[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x, *weights = ctx.saved_tensors
        flat = grad.reshape(-1, grad.shape[-1]).contiguous()
        grad_x: Tensor | None = None
        slopes: list[Tensor | None] = [None] * len(weights)
        if ctx.needs_input_grad[0]:
            grad_x = multiplied(flat, panels_along(tuple(weights)), columns=x.shape[1]).view(*grad.shape[:-1], x.shape[1])
        if any(ctx.needs_input_grad[1:]):
            slopes = [*weight_gradients(weights, flat, x)]
        return grad_x, *slopes


def weight_gradients(
    weights: Sequence[Float[Tensor, "_ i"]], grad: BFloat16[Tensor, "n o"], x: BFloat16[Tensor, "n i"]
) -> list[Float[Tensor, "_ i"]]:
    """Of weights one below another, each in its dtype."""
    whole = add_gradient_(x.new_empty(grad.shape[1], x.shape[1], dtype=torch.float32), grad, x, is_fresh=True)
    parts = torch.split(whole, [len(weight) for weight in weights])
    return [part.to(weight.dtype) for part, weight in zip(parts, weights, strict=True)]
