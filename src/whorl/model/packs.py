"""model/packs: one matrix made ready to be read many times: in float32, bfloat16, int8, int4 or eight-bit floats.

Weights are rounded to nearest, from float32, and inputs keep their precision (eight-bit floats apart, where the units want
both sides narrow). int8: a row is `scale * q`, scale = absmax / 127, as torchao's weight-only int8. int4: model/fours. All
but the last are multiplied by the loops of model/few where rows are few, float32 always: exact products, float32 sums, and a
row's result does not depend on its company. Chooses no format: see model/packed.
"""

from collections.abc import Callable, Mapping
from typing import Final, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from whorl.model.few import FEW, Few, Stored, can_take
from whorl.model.fours import BLOCK, four_bit_rows, widened_rows
from whorl.model.fp8 import MULTIPLE
from whorl.model.layers import cast

__all__ = ["PACKS", "Format", "Pack", "pack_matrix", "unfit"]

Format = Literal["fp32", "bf16", "int8", "int4", "fp8"]

_TINY: Final = 1e-30  # scale of what is all zero
_ROWS: Final = 64  # rows that stay in a core's cache while the matrix passes by
_MANY: Final = {"int8": 24, "int4": 32}  # rows beyond which widening the matrix for torch's product is faster
_LOOPED: Final = (torch.bfloat16, torch.float32)


@runtime_checkable  # checked at run time in tests
class Pack(Protocol):
    """A matrix ready to be multiplied with."""

    size_bytes: int  # read for one product

    def __call__(self, x: Float[Tensor, "... i"], *, out_dtype: torch.dtype) -> Float[Tensor, "... o"]:
        """x W^T (+ b), summed in float32."""
        ...

    def widened(self) -> Float[Tensor, "o i"]:
        """The matrix that it multiplies with, in float32."""
        ...


class Float32:
    """Weights in float32, and vectors: by loops for any number of rows, which is also faster here than torch's product."""

    def __init__(self, weight: Float[Tensor, "o i"], bias: Float[Tensor, " o"] | None) -> None:
        self._weight = weight.float().contiguous()
        self._few = Few(Stored(self._weight, _shape(weight)), bias=bias, out_dtype=torch.float32)
        self.size_bytes = self._weight.nbytes

    def __call__(self, x: Float[Tensor, "... i"], *, out_dtype: torch.dtype) -> Float[Tensor, "... o"]:
        return in_blocks(self._few, x.float()).to(out_dtype)

    def widened(self) -> Float[Tensor, "o i"]:
        """The matrix itself."""
        return self._weight


class BFloat16:
    """Weights in bfloat16: few rows at the speed of memory (model/few), many by torch."""

    def __init__(self, weight: Float[Tensor, "o i"], bias: Float[Tensor, " o"] | None) -> None:
        self._weight, self._bias = weight.to(torch.bfloat16).contiguous(), bias
        self.size_bytes = self._weight.nbytes
        dtypes = _LOOPED if can_take(self._weight) else ()
        self._few = {dtype: Few(Stored(self._weight, _shape(weight)), bias=bias, out_dtype=dtype) for dtype in dtypes}

    def __call__(self, x: Float[Tensor, "... i"], *, out_dtype: torch.dtype) -> Float[Tensor, "... o"]:
        few = self._few.get(out_dtype)
        if few is None or (x.numel() > FEW * x.shape[-1] and x.dtype is out_dtype is torch.bfloat16):
            return functional.linear(x, self._weight.to(x.dtype), cast(self._bias, x.dtype)).to(out_dtype)
        # torch would have to widen the matrix first, or to round the sums: the loops do neither.
        return in_blocks(few, x)

    def widened(self) -> Float[Tensor, "o i"]:
        """The matrix that it multiplies with."""
        return self._weight.float()


def in_blocks(few: Few, x: Float[Tensor, "... i"], count: int = _ROWS) -> Float[Tensor, "... o"]:
    """The product of any number of rows, so many at a time that they stay in a core's cache while the matrix passes by."""
    if x.numel() <= count * x.shape[-1]:
        return few(x)
    return torch.cat([few(part) for part in torch.split(x.flatten(0, -2), count)]).view(*x.shape[:-1], -1)


class Int8:
    """Weights in eight bits with a scale for each row."""

    def __init__(self, weight: Float[Tensor, "o i"], bias: Float[Tensor, " o"] | None) -> None:
        wide = weight.float()
        scale = wide.abs().amax(dim=1).clamp(min=_TINY) / 127
        levels = (wide / scale.unsqueeze(1)).round().clamp(-127, 127).to(torch.int8)
        self._matrix, self._bias = Stored(levels, _shape(weight), scale), bias
        self._few = {dtype: Few(self._matrix, bias=bias, out_dtype=dtype) for dtype in _LOOPED}
        self.size_bytes = levels.nbytes + scale.nbytes

    def __call__(self, x: Float[Tensor, "... i"], *, out_dtype: torch.dtype) -> Float[Tensor, "... o"]:
        if x.numel() <= _MANY["int8"] * x.shape[-1] or out_dtype is not x.dtype:
            return in_blocks(self._few[out_dtype], x)
        assert self._matrix.scale is not None, "int8 rows have scales"
        # Whole numbers up to 127 are exact in bfloat16 as well.
        out = functional.linear(x, self._matrix.rows.to(x.dtype)) * self._matrix.scale.to(x.dtype)
        return out if self._bias is None else out + self._bias.to(x.dtype)

    def widened(self) -> Float[Tensor, "o i"]:
        """The matrix that it multiplies with."""
        assert self._matrix.scale is not None, "int8 rows have scales"
        return self._matrix.rows.float() * self._matrix.scale.unsqueeze(1)


class Int4:
    """Weights in four bits with a scale and a middle for each group of a row, both bfloat16."""

    def __init__(self, weight: Float[Tensor, "o i"], bias: Float[Tensor, " o"] | None) -> None:
        self._matrix, self._bias = Stored(four_bit_rows(weight.float()), _shape(weight)), bias
        self._few = {dtype: Few(self._matrix, bias=bias, out_dtype=dtype) for dtype in _LOOPED}
        self.size_bytes = self._matrix.rows.nbytes

    def __call__(self, x: Float[Tensor, "... i"], *, out_dtype: torch.dtype) -> Float[Tensor, "... o"]:
        if x.numel() <= _MANY["int4"] * x.shape[-1] or out_dtype is not x.dtype:
            return in_blocks(self._few[out_dtype], x, FEW)
        out = functional.linear(x, widened_rows(self._matrix.rows, self._matrix.shape, x.dtype))
        return out if self._bias is None else out + self._bias.to(x.dtype)

    def widened(self) -> Float[Tensor, "o i"]:
        """The matrix that it multiplies with."""
        return widened_rows(self._matrix.rows, self._matrix.shape, torch.float32)


class Fp8:
    """Weights in eight-bit floats with a scale for each row; vectors are rounded to eight bits as well, each with its scale."""

    def __init__(self, weight: Float[Tensor, "o i"], bias: Float[Tensor, " o"] | None) -> None:
        self._weight, self._scale = _rounded_rows(weight)
        self._bias = bias
        self.size_bytes = self._weight.nbytes + self._scale.nbytes

    def __call__(self, x: Float[Tensor, "... i"], *, out_dtype: torch.dtype) -> Float[Tensor, "... o"]:
        rows, scale = _rounded_rows(x.flatten(0, -2))
        out: Tensor = torch._scaled_mm(
            rows, self._weight.t(), scale_a=scale, scale_b=self._scale.t(), out_dtype=torch.bfloat16
        ).to(out_dtype)
        out = out if self._bias is None else out + self._bias.to(out_dtype)
        return out.view(*x.shape[:-1], -1)

    def widened(self) -> Float[Tensor, "o i"]:
        return self._weight.float() * self._scale


def _shape(weight: Float[Tensor, "o i"]) -> tuple[int, int]:
    return weight.shape[0], weight.shape[1]


def _rounded_rows(matrix: Float[Tensor, "n i"]) -> tuple[Tensor, Float[Tensor, "n 1"]]:
    largest = torch.finfo(torch.float8_e4m3fn).max
    wide = matrix.float()
    scale = (wide.abs().amax(dim=1, keepdim=True) / largest).clamp(min=1e-12)
    return (wide / scale).clamp(-largest, largest).to(torch.float8_e4m3fn).contiguous(), scale


PACKS: Mapping[Format, Callable[[Tensor, Tensor | None], Pack]] = {
    "fp32": Float32,
    "bf16": BFloat16,
    "int8": Int8,
    "int4": Int4,
    "fp8": Fp8,
}


def unfit(weight: Float[Tensor, "o i"], form: Format) -> str:
    """Why the product of a format does not take a matrix of this shape; empty where it does."""
    o, i = weight.shape
    if form == "int4" and i < BLOCK:
        return f"rows of {i} numbers; int4 wants {BLOCK} or more, or its blocks stay half empty"
    if form == "fp8" and (i % MULTIPLE or o % MULTIPLE):
        return f"{o} rows of {i} numbers; fp8 wants multiples of {MULTIPLE}"
    return ""


def pack_matrix(weight: Float[Tensor, "o i"], bias: Float[Tensor, " o"] | None, form: Format) -> Pack:
    """The matrix in that format; `unfit` has been asked."""
    fault = unfit(weight, form)
    assert not fault, fault
    return PACKS[form](weight.detach(), None if bias is None else bias.detach())
