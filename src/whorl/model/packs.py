"""model/packs: one matrix made ready to be read many times: in bfloat16, int8, int4 or eight-bit floats, with its product.

Weights are rounded to nearest, from float32, and inputs keep their precision (eight-bit floats apart, where the units want both
sides narrow). int8: a row is `scale * q`, scale = absmax / 127, as torchao's weight-only int8. int4: each group of 32 numbers of
a row is `scale * q + low`, 16 even steps from its least to its greatest number. Chooses no format: see model/packed.
"""

from collections.abc import Callable, Mapping
from typing import Final, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from whorl.model.few import FEW, Few, can_take
from whorl.model.fp8 import MULTIPLE
from whorl.model.layers import cast

__all__ = ["GROUP", "PACKS", "Format", "Pack", "pack_matrix", "unfit"]

Format = Literal["bf16", "int8", "int4", "fp8"]

GROUP: Final = 32  # numbers of a row that share their scale and least number in int4
_INT8_STEP: Final = 16  # torch's product reads beyond rows that are no multiple of this
_INT4_ROWS: Final = 16
_BLOCK: Final = 64  # rows that stay in a core's cache while the matrix passes by
_MANY: Final = {"int8": 64, "int4": 64}  # rows from which widening the matrix once is faster


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


class BFloat16:
    """Weights in bfloat16: few rows at the speed of memory (model/few), many by torch."""

    def __init__(self, weight: Float[Tensor, "o i"], bias: Float[Tensor, " o"] | None) -> None:
        self._weight = weight.to(torch.bfloat16).contiguous()
        self._bias = bias
        self.size_bytes = self._weight.nbytes
        dtypes = (torch.bfloat16, torch.float32) if can_take(self._weight) else ()
        self._few = {dtype: Few(self._weight, bias=bias, out_dtype=dtype) for dtype in dtypes}

    def __call__(self, x: Float[Tensor, "... i"], *, out_dtype: torch.dtype) -> Float[Tensor, "... o"]:
        few = self._few.get(out_dtype)
        num_rows = x.numel() // x.shape[-1]
        if few is None or (num_rows > FEW and x.dtype is out_dtype is torch.bfloat16):
            out = functional.linear(x, self._weight.to(x.dtype), cast(self._bias, x.dtype))
            return out.to(out_dtype)
        if num_rows <= _BLOCK:
            return few(x)
        # torch would have to widen the matrix first, or to round the sums: the loops do neither.
        parts = [few(part) for part in x.flatten(0, -2).split(_BLOCK)]
        return torch.cat(parts).view(*x.shape[:-1], -1)

    def widened(self) -> Float[Tensor, "o i"]:
        return self._weight.float()


class Int8:
    """Weights in eight bits with a scale for each row."""

    def __init__(self, weight: Float[Tensor, "o i"], bias: Float[Tensor, " o"] | None) -> None:
        wide = weight.float()
        self._scale = wide.abs().amax(dim=1).clamp(min=torch.finfo(torch.float32).tiny) / 127
        self._weight = (wide / self._scale.unsqueeze(1)).round().clamp(-127, 127).to(torch.int8)
        self._bias = bias
        self._scales = {dtype: self._scale.to(dtype) for dtype in (torch.bfloat16, torch.float32)}
        self.size_bytes = self._weight.nbytes + self._scale.nbytes

    def __call__(self, x: Float[Tensor, "... i"], *, out_dtype: torch.dtype) -> Float[Tensor, "... o"]:
        rows = x.flatten(0, -2).to(out_dtype)
        if len(rows) < _MANY["int8"]:
            out = torch._weight_int8pack_mm(rows.contiguous(), self._weight, self._scales[out_dtype])
        else:
            out = functional.linear(rows, self._weight.to(out_dtype)) * self._scales[out_dtype]
        out = out if self._bias is None else out + self._bias.to(out_dtype)
        return out.view(*x.shape[:-1], -1)

    def widened(self) -> Float[Tensor, "o i"]:
        return self._weight.float() * self._scale.unsqueeze(1)


class Int4:
    """Weights in four bits with a scale and a least number for each group of a row."""

    def __init__(self, weight: Float[Tensor, "o i"], bias: Float[Tensor, " o"] | None) -> None:
        grouped = weight.float().unflatten(1, (-1, GROUP))  # o g 32
        low, high = grouped.aminmax(dim=-1, keepdim=True)
        scale = ((high - low) / 15).clamp(min=torch.finfo(torch.float32).tiny)
        self._levels = ((grouped - low) / scale).round().clamp(0, 15).to(torch.uint8).flatten(1)  # o i
        self._packed = torch._convert_weight_to_int4pack_for_cpu(self._levels.to(torch.int32), 1)
        # Level 8 is what torch's product takes for zero.
        both = torch.cat([scale, low + 8 * scale], dim=-1).transpose(0, 1).contiguous()  # g o 2
        self._both = {dtype: both.to(dtype) for dtype in (torch.bfloat16, torch.float32)}
        self._bias = bias
        self.size_bytes = self._packed.nbytes + self._both[torch.bfloat16].nbytes

    def __call__(self, x: Float[Tensor, "... i"], *, out_dtype: torch.dtype) -> Float[Tensor, "... o"]:
        rows = x.flatten(0, -2).to(out_dtype)
        if len(rows) < _MANY["int4"]:
            out: Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(
                rows.contiguous(), self._packed, GROUP, self._both[out_dtype]
            )
        else:
            out = functional.linear(rows, self.widened().to(out_dtype))
        out = out if self._bias is None else out + self._bias.to(out_dtype)
        return out.view(*x.shape[:-1], -1)

    def widened(self) -> Float[Tensor, "o i"]:
        scale, middle = self._both[torch.float32].transpose(0, 1).unsqueeze(2).unbind(-1)  # o g 1
        return ((self._levels.float().unflatten(1, (-1, GROUP)) - 8) * scale + middle).flatten(1)


class Fp8:
    """Weights in eight-bit floats with a scale for each row; each vector is rounded to eight bits, with its own scale, as well."""

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


def _rounded_rows(matrix: Float[Tensor, "n i"]) -> tuple[Tensor, Float[Tensor, "n 1"]]:
    largest = torch.finfo(torch.float8_e4m3fn).max
    wide = matrix.float()
    scale = (wide.abs().amax(dim=1, keepdim=True) / largest).clamp(min=1e-12)
    return (wide / scale).clamp(-largest, largest).to(torch.float8_e4m3fn).contiguous(), scale


PACKS: Mapping[Format, Callable[[Tensor, Tensor | None], Pack]] = {"bf16": BFloat16, "int8": Int8, "int4": Int4, "fp8": Fp8}


def unfit(weight: Float[Tensor, "o i"], form: Format) -> str:
    """Why the product of a format does not take a matrix of this shape; empty where it does."""
    o, i = weight.shape
    if form == "int8" and i % _INT8_STEP:
        return f"rows of {i} numbers; int8 wants a multiple of {_INT8_STEP}"
    if form == "int4" and (i % GROUP or o % _INT4_ROWS):
        return f"{o} rows of {i} numbers; int4 wants multiples of {_INT4_ROWS} and {GROUP}"
    if form == "fp8" and (i % MULTIPLE or o % MULTIPLE):
        return f"{o} rows of {i} numbers; fp8 wants multiples of {MULTIPLE}"
    return ""


def pack_matrix(weight: Float[Tensor, "o i"], bias: Float[Tensor, " o"] | None, form: Format) -> Pack:
    """The matrix in that format; `unfit` has been asked."""
    fault = unfit(weight, form)
    assert not fault, fault
    return PACKS[form](weight.detach(), None if bias is None else bias.detach())
