"""infer/roof: how fast this machine reads memory, measured as decoding reads it: one vector times a large matrix.

A share of a roof means nothing until the roof is named, so every way of measuring it is told, and the best of them counts:
whatever else runs on the machine only slows. Measured over as many bytes as the model has, because a model that fits into the
processor's own memory is not read from outside. Knows no vendor's figures.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

__all__ = ["Roof", "measured_roof"]

_COLUMNS = 1024  # of the matrix; a width that decoding meets
_FEWEST_BYTES = 1 << 20  # below, the figure is of calling, not of reading
_BUDGET_S = 1.0  # for all ways, in turns
_FEWEST_TURNS = 5


class Roof(NamedTuple):
    """The best rate at which a matrix was read, and how."""

    bytes_per_s: float
    by_way: Mapping[str, float]  # bytes per second
    how: str  # `plain read of 304 MB, 2 threads, measured 41.2 GB/s`


def measured_roof(device: torch.device, dtype: torch.dtype, *, num_bytes: int, budget_s: float = _BUDGET_S) -> Roof:
    """Read a matrix of this dtype and size again and again until the time is up, as a product with a vector and as a plain sum.

    Draws from a generator of its own. On a machine that does other things the figure is too low, never too high.
    """
    matrix = _matrix(max(num_bytes, _FEWEST_BYTES), device, dtype)
    ways = _ways(matrix)
    size = matrix.numel() * matrix.element_size()
    best = {way: _seconds(read, device) for way, read in ways.items()}  # kernels are chosen and loaded at the first use
    began, turns = time.perf_counter(), 0
    while turns < _FEWEST_TURNS or time.perf_counter() - began < budget_s:
        best = {way: min(best[way], _seconds(read, device)) for way, read in ways.items()}
        turns += 1
    rates = {way: size / seconds for way, seconds in best.items()}
    fastest = max(rates, key=lambda way: rates[way])
    where = f"{torch.get_num_threads()} threads" if device.type == "cpu" else str(device)
    how = f"{fastest} of {size / 1e6:.3g} MB, {where}, measured {rates[fastest] / 1e9:.3g} GB/s"
    return Roof(rates[fastest], rates, how)


def _ways(matrix: Float[Tensor, "o i"]) -> dict[str, Callable[[], object]]:
    """Products with one vector as torch offers them, and a sum of the same bytes taken for integers."""
    vector = matrix[0].clone()
    name = str(matrix.dtype).removeprefix("torch.")
    return {
        f"{name} matrix-vector product (mv)": partial(torch.mv, matrix, vector),
        f"{name} matrix-vector product (linear)": partial(functional.linear, vector.unsqueeze(0), matrix),
        "plain read": partial(torch.sum, matrix.view(torch.int64)),
    }


def _matrix(num_bytes: int, device: torch.device, dtype: torch.dtype) -> Float[Tensor, "o i"]:
    # Random numbers, as weights are; drawn once and laid out again and again, because drawing all would take longer.
    generator = torch.Generator(device).manual_seed(0)
    tile = torch.randn(_COLUMNS, _COLUMNS, generator=generator, device=device).to(dtype)
    num_rows = num_bytes // (_COLUMNS * tile.element_size())
    return tile.repeat(-(-num_rows // _COLUMNS), 1)[:num_rows]


def _seconds(read: Callable[[], object], device: torch.device) -> float:
    """Of one reading, waited for."""
    began = time.perf_counter()
    read()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began
