"""infer/store: the memory behind the blocks: keys and values of every layer, in pages, the same on every device.

Page number and place within it say where a token stands; a request's list of pages says what is its own, so a shared beginning
is stored once and nothing is ever moved. One page more than there are blocks takes what nobody will read. Does not know who
owns a block (infer/pool).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from whorl.model.config import ModelConfig

__all__ = ["Store", "bytes_per_token"]


def bytes_per_token(config: ModelConfig, dtype: torch.dtype) -> int:
    """What keys and values of one token take in all layers."""
    return 2 * config.depth * config.kv_heads * config.head_dim * dtype.itemsize


class Store:
    """Pages (blocks + 1, kv heads, block size, head dim) of each layer."""

    def __init__(
        self, config: ModelConfig, *, num_blocks: int, block_size: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        shape = (num_blocks + 1, config.kv_heads, block_size, config.head_dim)
        # Zeros cost nothing until they are written: the system hands out memory page by page.
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(config.depth)]
        self.values = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(config.depth)]
        self.block_size = block_size
        self.spare = num_blocks  # the page that nobody reads

    def write(
        self,
        layer: int,
        keys: Float[Tensor, "n k c"],
        values: Float[Tensor, "n k c"],
        *,
        pages: Int[Tensor, " n"],
        places: Int[Tensor, " n"],
    ) -> None:
        """Put each token's keys and values where it stands."""
        self.keys[layer][pages, :, places] = keys
        self.values[layer][pages, :, places] = values

    def read(
        self, layer: int, pages: Int[Tensor, " m"], count: int
    ) -> tuple[Float[Tensor, "1 k s c"], Float[Tensor, "1 k s c"]]:
        """Keys and values of the first `count` tokens of these pages, one behind another."""
        return _joined(self.keys[layer], pages, count), _joined(self.values[layer], pages, count)

    def copy(self, page: int, to: int) -> None:
        """Make one page's content another's too."""
        for tensor in (*self.keys, *self.values):
            tensor[to] = tensor[page]

    @property
    def num_bytes(self) -> int:
        """Of all pages, used or not."""
        return sum(tensor.numel() * tensor.element_size() for tensor in (*self.keys, *self.values))


def _joined(memory: Float[Tensor, "m k w c"], pages: Int[Tensor, " n"], count: int) -> Float[Tensor, "1 k s c"]:
    return memory.index_select(0, pages).transpose(0, 1).flatten(1, 2)[None, :, :count]
