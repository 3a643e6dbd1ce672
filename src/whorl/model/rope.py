"""model/rope: rotary positions: each pair of channels of a query or key turns by its position times a frequency.

Channel i is paired with channel i + c/2, as in the public llama layout. Tables are made once and are no parameters.
https://arxiv.org/abs/2104.09864
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["Turn", "rotary_table", "turn_at"]


class Turn(NamedTuple):
    """Cosines, and sines whose first half is negated so that one multiply-add turns a whole head."""

    cos: Float[Tensor, "b t n c"]
    sin: Float[Tensor, "b t n c"]


def rotary_table(positions: int, head_dim: int, *, theta: float) -> Float[Tensor, "2 p c"]:
    """Cosines and signed sines of every position, float32."""
    frequencies = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.int64).float() / head_dim)
    angles = torch.outer(torch.arange(positions).float(), frequencies)  # p c/2
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)])


def turn_at(table: Float[Tensor, "2 p c"], positions: Int[Tensor, "b t"], *, heads: int, dtype: torch.dtype) -> Turn:
    """The turn of each position of a batch, once per head, rounded to the compute dtype."""
    cos, sin = table.to(dtype)[:, positions].unsqueeze(-2).expand(-1, -1, -1, heads, -1).contiguous()  # b t n c
    return Turn(cos, sin)
