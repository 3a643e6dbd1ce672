"""model/cache: keys and values of positions already computed, so that decoding reads each token once.

One contiguous slot per row: rows share a column clock and are left-padded to it. Does not page, share or evict.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from whorl.model.config import ModelConfig

__all__ = ["KVCache"]


class KVCache:
    """Keys and values of every layer, (b k s c), filled up to `length` columns. Written by Transformer.forward."""

    def __init__(self, config: ModelConfig, rows: int, *, columns: int, dtype: torch.dtype, device: torch.device) -> None:
        shape = (config.depth, rows, config.kv_heads, columns, config.head_dim)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.docs: Int[Tensor, "b s"] | None = None
        self.length = 0

    @property
    def columns(self) -> int:
        """How many columns fit."""
        return self.keys.shape[3]

    def extend(
        self, layer: int, keys: Float[Tensor, "b k t c"], values: Float[Tensor, "b k t c"]
    ) -> tuple[Float[Tensor, "b k s c"], Float[Tensor, "b k s c"]]:
        """Append one layer's new columns and return all of them so far. `advance` moves the clock after the last layer."""
        end = self.length + keys.shape[2]
        assert end <= self.columns, f"{end} columns do not fit a cache of {self.columns}"
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def advance(self, num_columns: int, docs: Int[Tensor, "b t"] | None) -> None:
        """Count the new columns as past, with their document numbers if rows hold any."""
        assert self.length == 0 or (docs is None) == (self.docs is None), (
            "a cache holds documents from its first column or never"
        )
        self.length += num_columns
        if docs is not None:
            self.docs = docs if self.docs is None else torch.cat([self.docs, docs], dim=1)

    def keep(self, rows: Int[Tensor, " r"]) -> None:
        """Drop every row but these, in this order."""
        self.keys = self.keys[:, rows]
        self.values = self.values[:, rows]
        if self.docs is not None:
            self.docs = self.docs[rows]
