"""model/fp8: matrix products of the blocks in eight-bit floating point, forward and backward, for GPUs that have the units.

Tensorwise dynamic scaling: each matrix is multiplied by what brings its largest entry to the largest number of the format, is
rounded, and the product is divided by both factors. Inputs and weights are e4m3 (three bits of mantissa), gradients e5m2 (more
range). Masters, sums, norms, attention and the output matrix keep their precision. Without torch.compile the roundings cost
more than the products save. Does not choose when it is worth it. Paper: https://arxiv.org/abs/2209.05433.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from whorl.core.errors import ConfigError, ResourceError
from whorl.model.attention import Attention
from whorl.model.kernels import stacked
from whorl.model.layers import GatedMLP, Linear, bias_of, product
from whorl.model.transformer import Transformer

__all__ = ["Rounded", "fp8_product", "rounded", "use_fp8"]

MULTIPLE = 16  # of every side of a product, or the units cannot be fed
_CAPABILITY = (8, 9)  # Ada and Hopper are the first with eight-bit units
_FORWARD, _BACKWARD = torch.float8_e4m3fn, torch.float8_e5m2
_TINY = 1e-12  # a matrix of zeros is divided by this instead


class Rounded(NamedTuple):
    """A matrix in eight bits, and the float32 factor that brings it back."""

    values: Tensor
    scale: Float[Tensor, ""]


def rounded(matrix: Float[Tensor, "n m"], dtype: torch.dtype) -> Rounded:
    """The matrix scaled so that its largest entry is the format's largest, and rounded to nearest."""
    largest = torch.finfo(dtype).max
    scale = (matrix.abs().amax().float() / largest).clamp(min=_TINY)
    values = (matrix.float() / scale).clamp(-largest, largest).to(dtype)
    return Rounded(values.contiguous(), scale)  # a gradient may come as the transpose of a matrix, which the units cannot read


class _Product(torch.autograd.Function):
    """x W^T with both in eight bits, and both gradients the same way."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:  # noqa: ANN401
        left, right = rounded(x, _FORWARD), rounded(weight, _FORWARD)
        ctx.save_for_backward(*left, *right)
        ctx.dtypes = x.dtype, weight.dtype
        return _multiplied(left, right, dtype=x.dtype, is_fast=True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        x, weight = Rounded(*ctx.saved_tensors[:2]), Rounded(*ctx.saved_tensors[2:])
        dtype, weight_dtype = ctx.dtypes
        grad = rounded(grads[0], _BACKWARD)
        grad_x = _multiplied(grad, _turned(weight), dtype=dtype, is_fast=False)  # n o, o i -> n i
        grad_weight = _multiplied(_turned(grad), _turned(x), dtype=dtype, is_fast=False)  # o n, n i -> o i
        return grad_x, grad_weight.to(weight_dtype)


def _multiplied(left: Rounded, right: Rounded, *, dtype: torch.dtype, is_fast: bool) -> Tensor:
    """left right^T. The units read rows of both. Fast sums lose a few bits, which only gradients would miss."""
    product: Tensor = torch._scaled_mm(
        left.values,
        right.values.t(),
        scale_a=left.scale,
        scale_b=right.scale,
        out_dtype=dtype,
        use_fast_accum=is_fast,
    )
    return product


def _turned(matrix: Rounded) -> Rounded:
    return Rounded(matrix.values.t().contiguous(), matrix.scale)


def fp8_product(
    x: Float[Tensor, "... i"], weights: tuple[Float[Tensor, "_ i"], ...], biases: tuple[Float[Tensor, " _"] | None, ...]
) -> Float[Tensor, "... o"]:
    """layers.product in eight bits while gradients are recorded; else as it is, so that what is kept is what is watched.

    Wants i, o and the number of vectors to be multiples of 16.
    """
    if not torch.is_grad_enabled():
        return product(x, weights, biases)
    apply: Any = _Product.apply  # untyped in torch
    out: Tensor = apply(x.flatten(0, -2), stacked(weights, weights[0].dtype)).unflatten(0, x.shape[:-1])
    bias = bias_of(biases, out.dtype)
    return out if bias is None else out + bias


def use_fp8(model: Transformer, width: int) -> int:
    """From now on the matrices of all blocks multiply in eight bits while training; how many they are. Experts keep theirs.

    `width`: tokens of a row. Raises ResourceError where the device has no such units, ConfigError naming the first side that
    does not fit them.
    """
    check_units(model.head_weight.device)
    if width % MULTIPLE:
        raise ConfigError(f"fp8: width={width}; want a multiple of {MULTIPLE}")
    maps = {name: one for name, one in model.blocks.named_modules() if isinstance(one, Linear)}
    for name, one in maps.items():
        if any(side % MULTIPLE for side in one.weight.shape):
            raise ConfigError(
                f"fp8: blocks.{name} is {tuple(one.weight.shape)}; want multiples of {MULTIPLE}; choose other widths or bf16"
            )
    for module in model.blocks.modules():
        if isinstance(module, Linear | Attention | GatedMLP):
            module.product = fp8_product
    return len(maps)


def check_units(device: torch.device) -> None:
    """Raise ResourceError unless the device multiplies eight-bit floating point."""
    if device.type != "cuda":
        raise ResourceError(f"fp8: the model is on '{device}', want a CUDA GPU (Ada, Hopper or newer); train in bf16 instead")
    found = torch.cuda.get_device_capability(device)
    if found < _CAPABILITY:
        raise ResourceError(
            f"fp8: {torch.cuda.get_device_name(device)} has compute capability {found[0]}.{found[1]}, want "
            f"{_CAPABILITY[0]}.{_CAPABILITY[1]} or more (Ada, Hopper); train in bf16 instead"
        )
