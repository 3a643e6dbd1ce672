"""infer/decode: the pass that says the next tokens of a few requests, replayed (model/replay) instead of asked for op by op.

The model's own forward is recorded once for each number of tokens, over memory that stays; a step then fills in which tokens,
where they stand and which pages are theirs. Where something in a model cannot be replayed (experts, float32, a GPU), every pass
runs as written: the same numbers, more slowly. Knows no request.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from whorl.infer.alone import Alone, Spots
from whorl.infer.pieces import Piece
from whorl.infer.store import Store
from whorl.model.attention import Look, Sight
from whorl.model.few import FEW
from whorl.model.mask import MaskSpec
from whorl.model.replay import NotStatic, recorded
from whorl.model.rope import Turn
from whorl.model.team import can_run
from whorl.model.transformer import Transformer

__all__ = ["Decoder"]


class Decoder:
    """Recorded passes over one model and one store."""

    def __init__(self, model: Transformer, store: Store) -> None:
        self._model, self._store = model, store
        self._passes: dict[int, _Pass] = {}
        self._is_possible = can_run(torch.empty(0, dtype=model.compute_dtype, device=model.embed.weight.device))

    def logits(self, pieces: Sequence[Piece]) -> Float[Tensor, "n v"] | None:
        """Logits after every token of the pieces, float32, valid until the next call; None: too many tokens, or a model whose
        pass cannot be replayed. Keys and values are in the pages afterwards."""
        count = sum(len(piece.ids) for piece in pieces)
        if not self._is_possible or count > FEW:
            return None
        found = self._passes.get(count)
        if found is None or found.replay.num_threads != torch.get_num_threads():
            found = self._recorded(count)
        return None if found is None else found.run(pieces)

    def _recorded(self, count: int) -> "_Pass | None":
        try:
            self._passes[count] = found = _Pass(self._model, self._store, count)
        except NotStatic:
            self._is_possible = False
            return None
        return found


class _Pass:
    """The pass of one number of tokens."""

    def __init__(self, model: Transformer, store: Store, count: int) -> None:
        """Records with every token at the last place of the context, so that whatever depends on how long contexts are has room
        for the longest; what it writes meanwhile goes to the page that nobody reads."""
        self._model, self._size = model, store.block_size
        last = model.config.max_positions - 1
        tables = torch.full((count, last // self._size + 1), store.spare, dtype=torch.int32)
        self._spots = Spots.of(tables, torch.arange(count), torch.full((count,), last), block_size=self._size)
        self._mixer = Alone(model.config, store, self._spots)
        self._x = model.embedded(torch.zeros(1, count, dtype=torch.int64), self._spots.positions[None]).clone()
        self._sight = self._seen()
        self._logits, self.replay = recorded(lambda: model.logits(model.through(self._x, self._sight)[0]))

    def run(self, pieces: Sequence[Piece]) -> Float[Tensor, "n v"]:
        """Fill in and replay."""
        first = 0
        tables, positions = self._spots.tables.numpy(), self._spots.positions.numpy()
        for piece in pieces:
            end = first + len(piece.ids)
            tables[first:end, : len(piece.blocks)] = piece.blocks
            positions[first:end] = np.arange(piece.start, piece.end)
            first = end
        self._spots.settle(self._size)
        ids = torch.tensor([[token for piece in pieces for token in piece.ids]])
        self._x.copy_(self._model.embedded(ids, self._spots.positions[None]))
        for old, new in zip(self._sight.looks, self._seen().looks, strict=True):
            for kept, fresh in zip(old.turn or (), new.turn or (), strict=True):
                kept.copy_(fresh)
        self.replay.run()
        return self._logits

    def _seen(self) -> Sight:
        """Turns to the places of now, in memory of their own."""
        sight = self._model.sight(MaskSpec(), self._spots.positions[None], mixer=self._mixer)
        turns = (look.turn and Turn(*(one.contiguous() for one in look.turn)) for look in sight.looks)
        return Sight(tuple(Look(turn, None) for turn in turns), self._mixer)
