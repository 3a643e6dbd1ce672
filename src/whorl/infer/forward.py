"""infer/forward: one pass of the model over pieces of many requests, laid side by side without padding.

The model's own forward runs once over all tokens; only attention asks which request a token belongs to, and reads what came
before it from pages (infer/store). Tokens of short pieces attend alone; long pieces by the backend that trains. Where every
token attends alone a token's numbers depend on its own past and nothing else: in float32 on a processor, whose other products
keep tokens apart as well (model/packs), and where shapes are fixed, so that every pass has the same.
Does not sample, and does not decide what is computed (infer/scheduler).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from whorl.infer.alone import Alone, Spots
from whorl.infer.decode import Decoder
from whorl.infer.pieces import Piece
from whorl.infer.scoring import target_logprobs
from whorl.infer.store import Store
from whorl.model.attend import build_attend
from whorl.model.attention import Look
from whorl.model.kernels import Heads
from whorl.model.mask import MaskSpec, Scene
from whorl.model.team import can_run
from whorl.model.transformer import Transformer

__all__ = ["FIXED", "Forward", "Passed"]

FIXED = 16  # tokens of a pass where shapes are fixed
LONG = 16  # tokens from which a piece is worth a product of its own


class Forward:
    """A model over a store."""

    def __init__(self, model: Transformer, store: Store, *, is_fixed: bool = False) -> None:
        self.model = model
        self.store = store
        self.is_fixed = is_fixed
        self.device = model.embed.weight.device
        self.attend = build_attend(model.backend, device=self.device, dtype=model.compute_dtype)
        # In float32 the loops of model/paged are about as fast as the backend.
        self.is_apart = is_fixed or (model.compute_dtype is torch.float32 and self.device.type == "cpu" and can_run())
        self._decoder = None if is_fixed else Decoder(model, store)

    def run(self, pieces: Sequence[Piece]) -> Float[Tensor, "n d"]:
        """Hidden states of all tokens in the order of the pieces; their keys and values are in the pages afterwards.

        A piece may read what an earlier one of the same call writes.
        """
        if not self.is_fixed:
            return self._pass(pieces, spare=0)
        counted = [(part, sum(len(piece.ids) for piece in part)) for part in _cut(pieces, FIXED)]
        return torch.cat([self._pass(part, spare=FIXED - count)[:count] for part, count in counted])

    def step(self, pieces: Sequence[Piece], *, only_logits: bool) -> "Passed":
        """The pass of a step. `only_logits`: nobody will ask for hidden states, so a few tokens may take the fast way."""
        logits = self._decoder.logits(pieces) if only_logits and self._decoder is not None else None
        return Passed(self, self.run(pieces) if logits is None else None, logits)

    def last_logits(self, piece: Piece, *, at_once: int) -> Float[Tensor, "1 v"]:
        """float32, after the last token of a piece that is read so many tokens at a time; valid until the next pass."""
        for first in range(0, len(piece.ids), at_once):
            part = _slice(piece, first, first + at_once)
            passed = self.step([part], only_logits=True)
        return passed.logits([len(part.ids) - 1])

    def logits(self, hidden: Float[Tensor, "n d"]) -> Float[Tensor, "n v"]:
        """float32, in one product or, where shapes are fixed, in products of one shape."""
        if not self.is_fixed:
            return self.model.logits(hidden)
        room = hidden.new_zeros(-(-len(hidden) // FIXED) * FIXED, hidden.shape[1])
        room[: len(hidden)] = hidden
        return torch.cat([self.model.logits(part) for part in torch.split(room, FIXED)])[: len(hidden)]

    def _pass(self, pieces: Sequence[Piece], *, spare: int) -> Float[Tensor, "n d"]:
        mixer = _Pages(self, pieces, spare=spare)
        ids = np.concatenate([*(np.asarray(piece.ids, np.int64) for piece in pieces), np.zeros(spare, np.int64)])
        hidden: Tensor = self.model(
            torch.from_numpy(ids).to(self.device)[None], positions=mixer.spots.positions[None], mixer=mixer
        )
        return hidden[0]


class Passed:
    """What a pass left of its tokens, numbered in the order of the pieces."""

    def __init__(self, forward: Forward, hidden: Tensor | None, logits: Tensor | None) -> None:
        self._forward, self._hidden, self._logits = forward, hidden, logits

    def scores(self, first: int, targets: Sequence[int]) -> list[float]:
        """Nats of each target, where the first follows token `first`, the next the one behind it, and so on."""
        assert self._hidden is not None, "said that only logits are wanted"
        hidden, config = self._hidden[first : first + len(targets)], self._forward.model.config
        wanted = torch.tensor(targets, device=hidden.device)
        return target_logprobs(self._forward.logits, hidden, wanted, vocab_size=config.vocab_size).tolist()

    def finite(self) -> list[bool]:
        """Whether what came of each token is a number."""
        found = self._logits if self._hidden is None else self._hidden
        assert found is not None, "a pass leaves one or the other"
        return torch.isfinite(found.sum(dim=-1, dtype=torch.float32)).tolist()

    def logits(self, places: list[int]) -> Float[Tensor, "r v"]:
        """float32, after these tokens; valid until the next pass."""
        if self._hidden is not None:
            return self._forward.logits(self._hidden[places])
        assert self._logits is not None, "a pass leaves one or the other"
        return self._logits if len(places) == len(self._logits) else self._logits[places]


class _Pages:
    """The mixer of one pass."""

    def __init__(self, forward: Forward, pieces: Sequence[Piece], *, spare: int) -> None:
        """`spare`: tokens after the last piece that mean nothing: they write to the spare page and see themselves."""
        self._forward, self._store, self._pieces = forward, forward.store, pieces
        lengths = [len(piece.ids) for piece in pieces]
        rows = np.repeat(np.arange(len(pieces) + 1), [*lengths, spare])
        positions = np.concatenate([*(np.arange(piece.start, piece.end) for piece in pieces), np.zeros(spare, np.int64)])
        tables = np.asarray(_padded([*(piece.blocks for piece in pieces), [self._store.spare]]), np.int32)
        on_host = (torch.from_numpy(one) for one in (tables, rows, positions))
        self.spots = Spots.of(*on_host, block_size=self._store.block_size).to(forward.device)
        self._alone = Alone(forward.model.config, self._store, self.spots)
        self._is_long = [length >= LONG and not forward.is_apart for length in lengths]
        is_short = np.repeat([*(not is_long for is_long in self._is_long), True], [*lengths, spare])
        self._short: Int[Tensor, " s"] = torch.from_numpy(np.flatnonzero(is_short)).to(forward.device)
        self._masks: dict[tuple[int, int | None], Any] = {}

    def __call__(self, layer: int, look: Look, heads: Heads) -> Float[Tensor, "1 h n c"]:
        if not any(self._is_long):
            return self._alone(layer, look, heads)
        q, k, v = heads
        self._alone.write(layer, k, v)
        out, short = torch.empty_like(q), self._short
        if len(short):
            out[:, :, short] = self._alone.attended(layer, q[:, :, short], self.spots.rows[short], self.spots.positions[short])
        first = 0
        for number, piece in enumerate(self._pieces):
            end = first + len(piece.ids)
            if self._is_long[number]:
                own = (q[:, :, first:end], k[:, :, first:end], v[:, :, first:end])
                out[:, :, first:end] = self._together(layer, number, own)
            first = end
        return out

    def _together(self, layer: int, number: int, heads: Heads) -> Float[Tensor, "1 h t c"]:
        """The tokens of one piece by the backend that trains."""
        q, k, v = heads
        piece = self._pieces[number]
        if piece.start:
            pages = self.spots.tables[number, : -(-piece.end // self._store.block_size)]
            k, v = self._store.read(layer, pages, piece.end)
        key = number, self._forward.model.config.view(layer).window
        if key not in self._masks:
            self._masks[key] = self._mask(piece, window=key[1])
        return self._forward.attend(q.contiguous(), k.contiguous(), v.contiguous(), self._masks[key])

    def _mask(self, piece: Piece, *, window: int | None) -> Any:  # noqa: ANN401 - the backend's own
        model, config = self._forward.model, self._forward.model.config
        scene = Scene(MaskSpec(causal=True, window=window), len(piece.ids), self._forward.device, past=piece.start)
        return self._forward.attend.prepare(scene, heads=config.heads, kv_heads=config.kv_heads, dtype=model.compute_dtype)


def _padded(lists: Sequence[Sequence[int]]) -> list[list[int]]:
    """Lists of equal length; what is added is never looked at."""
    longest = max(map(len, lists))
    return [[*one, *([0] * (longest - len(one)))] for one in lists]


def _cut(pieces: Sequence[Piece], size: int) -> list[list[Piece]]:
    """The same tokens in parts of `size`, the last one smaller."""
    flat = [(piece, place) for piece in pieces for place in range(len(piece.ids))]
    parts = []
    for first in range(0, len(flat), size):
        part = flat[first : first + size]
        borders = [0, *(at for at in range(1, len(part)) if part[at][0] is not part[at - 1][0]), len(part)]
        parts.append([_slice(part[a][0], part[a][1], part[b - 1][1] + 1) for a, b in pairwise(borders)])
    return parts


def _slice(piece: Piece, first: int, end: int) -> Piece:
    return Piece(piece.ids[first:end], piece.start + first, piece.blocks)
