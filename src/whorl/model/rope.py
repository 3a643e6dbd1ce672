"""model/rope: rotary positions: each pair of channels of a query or key turns by its position times a frequency.

Channel i is paired with channel i + c/2, as in the public llama layout. Tables are made once and are no parameters. Stretching
a trained model over more positions is a change of frequencies: linear (arXiv 2306.15595), by wavelength (Llama 3.1), YaRN
(arXiv 2309.00071). Does not stretch with the length of the input. https://arxiv.org/abs/2104.09864
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from whorl.model.config import RopeScaling

__all__ = ["Turn", "frequencies", "magnitude", "rotary_table", "turn_at"]


class Turn(NamedTuple):
    """Cosines, and sines whose first half is negated so that one multiply-add turns a whole head."""

    cos: Float[Tensor, "b t n c"]
    sin: Float[Tensor, "b t n c"]


def rotary_table(positions: int, head_dim: int, *, theta: float, scaling: RopeScaling | None = None) -> Float[Tensor, "2 p c"]:
    """Cosines and signed sines of every position, float32, on the CPU even where parameters are only shapes."""
    grown = 1.0 if scaling is None else magnitude(scaling)
    turns = frequencies(head_dim, theta=theta, scaling=scaling)
    angles = torch.outer(torch.arange(positions, device="cpu").float(), turns)  # p c/2
    cos, sin = angles.cos() * grown, angles.sin() * grown
    return torch.stack([torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)])


def frequencies(head_dim: int, *, theta: float, scaling: RopeScaling | None = None) -> Float[Tensor, " f"]:
    """By how much each pair of channels turns from one position to the next, float32, on the CPU."""
    plain = _frequencies(head_dim, theta)
    return plain if scaling is None else _STRETCHED[scaling.kind](plain, scaling, theta)


def turn_at(table: Float[Tensor, "2 p c"], positions: Int[Tensor, "b t"], *, heads: int, dtype: torch.dtype) -> Turn:
    """The turn of each position of a batch, once per head, rounded to the compute dtype."""
    cos, sin = table[:, positions].to(dtype).unsqueeze(-2).expand(-1, -1, -1, heads, -1).contiguous()  # b t n c
    return Turn(cos, sin)


def _frequencies(head_dim: int, theta: float) -> Float[Tensor, " f"]:
    exponents = torch.arange(0, head_dim, 2, dtype=torch.int64, device="cpu").float() / head_dim
    found: Tensor = 1.0 / theta**exponents
    return found


def _linear(frequencies: Tensor, scaling: RopeScaling, theta: float) -> Tensor:
    del theta
    return frequencies / scaling.factor


def _by_wavelength(frequencies: Tensor, scaling: RopeScaling, theta: float) -> Tensor:
    """Frequencies that turn often within the original length stay, those that hardly turn are stretched, others blend."""
    del theta
    turns = scaling.original_positions * frequencies / (2 * math.pi)
    kept = ((turns - scaling.low_frequency) / (scaling.high_frequency - scaling.low_frequency)).clamp(0, 1)
    return kept * frequencies + (1 - kept) * frequencies / scaling.factor


def _yarn(frequencies: Tensor, scaling: RopeScaling, theta: float) -> Tensor:
    """The same idea with a ramp over channels, between those that turn `beta_fast` and `beta_slow` times."""
    low, high = (_channel_turning(turns, scaling, theta, len(frequencies)) for turns in (scaling.beta_fast, scaling.beta_slow))
    if scaling.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, 2 * len(frequencies) - 1)
    channels = torch.arange(len(frequencies), dtype=torch.float32, device="cpu")
    stretched = ((channels - low) / max(high - low, 1e-3)).clamp(0, 1)
    return (1 - stretched) * frequencies + stretched * frequencies / scaling.factor


def _channel_turning(turns: float, scaling: RopeScaling, theta: float, num_frequencies: int) -> float:
    """The channel, not rounded, whose frequency turns so many times within the original length."""
    return num_frequencies * math.log(scaling.original_positions / (turns * 2 * math.pi)) / math.log(theta)


def magnitude(scaling: RopeScaling) -> float:
    """What cosines and sines are multiplied with."""
    if scaling.kind != "yarn":
        return 1.0
    return scaling.magnitude if scaling.magnitude is not None else 0.1 * math.log(scaling.factor) + 1.0


_STRETCHED = {"linear": _linear, "llama3": _by_wavelength, "yarn": _yarn}
