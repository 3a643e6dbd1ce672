"""infer/alone: where the tokens of a pass stand, and how each of them attends alone, straight from the pages (model/paged).

Knows no request, and does not choose who attends so (infer/forward, infer/decode).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor

from whorl.infer.store import Store
from whorl.model.attention import Look
from whorl.model.config import ModelConfig
from whorl.model.kernels import Heads
from whorl.model.paged import paged_attention

__all__ = ["Alone", "Spots"]


class Spots(NamedTuple):
    """Token i stands at positions[i] of row rows[i], whose pages are tables[rows[i]]: at places[i] of page pages[i]."""

    tables: Int32[Tensor, "r m"]
    rows: Int[Tensor, " n"]
    positions: Int[Tensor, " n"]
    pages: Int[Tensor, " n"]
    places: Int[Tensor, " n"]

    @staticmethod
    def of(tables: Int32[Tensor, "r m"], rows: Int[Tensor, " n"], positions: Int[Tensor, " n"], *, block_size: int) -> "Spots":
        """In the memory of what is given, on the host."""
        spots = Spots(tables, rows, positions, torch.empty_like(positions), torch.empty_like(positions))
        spots.settle(block_size)
        return spots

    def settle(self, block_size: int) -> None:
        """Say pages and places anew, in their memory, after tables or positions have changed in theirs; on the host."""
        tables, rows, positions, pages, places = (one.numpy() for one in self)
        pages[:] = tables[rows, positions // block_size]
        places[:] = positions % block_size

    def to(self, device: torch.device) -> "Spots":
        """The same where the model is."""
        return Spots(*(one.to(device) for one in self))


class Alone:
    """A mixer (model/attention): writes keys and values of all tokens, then lets each look into its own pages."""

    def __init__(self, config: ModelConfig, store: Store, spots: Spots) -> None:
        self._config, self._store, self._spots = config, store, spots

    def __call__(self, layer: int, look: Look, heads: Heads) -> Float[Tensor, "1 h n c"]:
        """Of all tokens."""
        del look
        q, k, v = heads
        self.write(layer, k, v)
        return self.attended(layer, q, self._spots.rows, self._spots.positions)

    def write(self, layer: int, k: Float[Tensor, "1 k n c"], v: Float[Tensor, "1 k n c"]) -> None:
        """Put each token's keys and values where it stands."""
        pages, places = self._spots.pages, self._spots.places
        self._store.write(layer, k[0].transpose(0, 1), v[0].transpose(0, 1), pages=pages, places=places)

    def attended(
        self, layer: int, q: Float[Tensor, "1 h n c"], rows: Int[Tensor, " n"], positions: Int[Tensor, " n"]
    ) -> Float[Tensor, "1 h n c"]:
        """What tokens that stand there gather from what has been written."""
        mixed = paged_attention(
            q[0].transpose(0, 1).contiguous(),
            self._store.keys[layer],
            self._store.values[layer],
            tables=self._spots.tables,
            rows=rows,
            positions=positions,
            window=self._config.view(layer).window,
        )
        return mixed.transpose(0, 1)[None]
