"""infer/setup: how large an engine is and in which numbers it computes; what it says does not depend on it beyond rounding.

Knows no model.
"""

from pydantic import Field

from whorl.core.config import Config
from whorl.model.packed import Weights

__all__ = ["Setup", "Weights"]


class Setup(Config):
    """Room and arithmetic of an engine."""

    rows: int = Field(default=64, ge=1)  # requests computed side by side
    step_tokens: int = Field(default=2048, ge=1)  # of one step: those that decode, then pieces of prompts
    block_size: int = Field(default=32, ge=1)  # tokens of a block of keys and values
    cache_tokens: int | None = Field(default=None, ge=1)  # room in all blocks; None: all rows full, at most `cache_bytes`
    cache_bytes: int = Field(default=2 * 2**30, ge=1)
    reuses: bool = True  # finished blocks are found by requests that begin alike
    weights: Weights = "auto"  # of matrices; auto: bf16 packed for decoding where the model computes in bf16
    deterministic: bool = False  # every shape is fixed: the same bits whoever else is in a step; several times slower

    def num_blocks(self, *, max_positions: int, bytes_per_token: int) -> int:
        """Blocks for the wanted room; at least enough for one request that fills the context, or what was asked for."""
        if self.cache_tokens is not None:
            return -(-self.cache_tokens // self.block_size)
        per_row = -(-max_positions // self.block_size)
        affordable = self.cache_bytes // (bytes_per_token * self.block_size)
        return max(per_row, min(self.rows * per_row, affordable))
