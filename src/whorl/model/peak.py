"""model/peak: how fast this device multiplies matrices: measured in a fraction of a second, the vendor's figure beside it.

A share of a peak means nothing until the peak is named, so every figure here says what it is. Does not guess the peak of a
device it does not know, and counts no sparsity: the vendors' doubled figures hold for pruned weights only.
"""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Peak", "measured_peak", "vendor_flops"]

_SIDES: Mapping[str, Sequence[int]] = {"cpu": (512, 1024, 2048)}  # square; more only costs memory that the run is charged for
_SIDES_ELSEWHERE = (2048, 4096, 8192)
_BUDGET_S = 0.3  # for all of them, in turns; the best counts, because whatever else runs on the machine only slows
_TILE = 512  # of random numbers, laid out again and again: drawing more would cost more than multiplying

# Dense matrix products in bfloat16 (float16 is equal on all of them), FLOP/s, from the vendors' data sheets.
# An H100 does 989e12, not 1979e12: that is with structured sparsity.
_VENDOR_BF16: Mapping[str, float] = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100 NVL": 835e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,  # SXM
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10G": 70e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
    "V100": 125e12,  # float16 only
    "MI300X": 1307e12,
    "MI250X": 383e12,
}


class Peak(NamedTuple):
    """The best rate of a matrix product on one device, and how it was found."""

    flops: float  # per second, measured: two per multiply-add
    how: str  # `bf16 matmul 4096^3, 2 threads, measured 0.98 TFLOP/s`
    vendor_flops: float | None  # per second, dense, of the data sheet; None: device not known, or another precision


def measured_peak(device: torch.device, dtype: torch.dtype) -> Peak:
    """Multiply square matrices until the time is up. Takes less than half a second on a device that is warm.

    Draws from a generator of its own: torch's global one stands as before. On a machine that does other things the figure is
    too low, never too high.
    """
    rates = _rates(device, dtype)
    side = max(rates, key=lambda side: rates[side])
    where = f"{torch.get_num_threads()} threads" if device.type == "cpu" else device_name(device)
    how = f"{_short(dtype)} matmul {side}^3, {where}, measured {rates[side] / 1e12:.3g} TFLOP/s"
    return Peak(rates[side], how, vendor_flops(device_name(device), dtype))


def _rates(device: torch.device, dtype: torch.dtype) -> dict[int, float]:
    """Best FLOP/s by side. Sides that would run over the time, judged by a smaller one, are left out."""
    began, rates = time.perf_counter(), dict[int, float]()
    pairs: dict[int, tuple[Tensor, Tensor]] = {}
    for side in _SIDES.get(device.type, _SIDES_ELSEWHERE):
        expected_s = 2 * side**3 / max(rates.values()) if rates else 0.0
        if time.perf_counter() - began + 2 * expected_s > _BUDGET_S:
            break
        pairs[side] = _pair(side, device, dtype)
        _seconds(*pairs[side])  # kernels are chosen and loaded at the first use
        rates[side] = 2 * side**3 / _seconds(*pairs[side])
    while time.perf_counter() - began < _BUDGET_S:
        for side, pair in pairs.items():
            rates[side] = max(rates[side], 2 * side**3 / _seconds(*pair))
    return rates


def device_name(device: torch.device) -> str:
    """What the driver calls the device; `cpu` for a processor."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def vendor_flops(name: str, dtype: torch.dtype) -> float | None:
    """Dense FLOP/s that the vendor states for half precision on a device of this name; None where it is not known here."""
    if dtype not in (torch.bfloat16, torch.float16):
        return None
    words = name.replace("-", " ").split()
    for model, flops in _VENDOR_BF16.items():
        if all(word in words for word in model.split()):
            return flops
    return None


def _pair(side: int, device: torch.device, dtype: torch.dtype) -> tuple[Float[Tensor, "n n"], Float[Tensor, "n n"]]:
    # Random numbers: a GPU multiplies zeros faster, because bits that do not flip cost no power.
    generator = torch.Generator(device).manual_seed(0)
    tile = torch.randn(_TILE, _TILE, generator=generator, device=device).to(dtype)
    left = tile.repeat(side // _TILE, side // _TILE)
    return left, left.T.contiguous()


def _seconds(left: Float[Tensor, "n n"], right: Float[Tensor, "n n"]) -> float:
    """Of one product, waited for."""
    began = time.perf_counter()
    torch.mm(left, right)
    if left.device.type == "cuda":
        torch.cuda.synchronize(left.device)
    return time.perf_counter() - began


def _short(dtype: torch.dtype) -> str:
    return {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}[dtype]
