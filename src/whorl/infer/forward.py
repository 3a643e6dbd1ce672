"""infer/forward: one pass of the model over pieces of many requests, laid side by side without padding.

The model's own forward runs once over all tokens; only attention asks which request a token belongs to, and reads what came
before it from pages (infer/store). Single tokens attend straight from the pages; long pieces by the backend that trains. Fixed:
every pass has the same shape and every token attends alone, so that a token's numbers depend on its own past and nothing else.
Does not sample, and does not decide what is computed (infer/scheduler).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from whorl.infer.decode import Decoder
from whorl.infer.pieces import Piece
from whorl.infer.store import Store, padded
from whorl.model.attend import Attend, build_attend
from whorl.model.attention import Look
from whorl.model.kernels import Heads
from whorl.model.mask import MaskSpec, Scene
from whorl.model.paged import paged_attention
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
        self._device = model.embed.weight.device
        self._attend = build_attend(model.backend, device=self._device, dtype=model.compute_dtype)
        self._decoder = None if is_fixed else Decoder(model, store)

    def run(self, pieces: Sequence[Piece]) -> Float[Tensor, "n d"]:
        """Hidden states of all tokens in the order of the pieces; their keys and values are in the pages afterwards.

        A piece may read what an earlier one of the same call writes.
        """
        if not self.is_fixed:
            return self._pass(pieces, spare=0)
        hidden = [self._pass(part, spare=FIXED - _count(part)) for part in _cut(pieces, FIXED)]
        return torch.cat([each[: _count(part)] for each, part in zip(hidden, _cut(pieces, FIXED), strict=True)])

    def step(self, pieces: Sequence[Piece], *, only_logits: bool) -> "Passed":
        """The pass of a step. `only_logits`: nobody will ask for hidden states, so a few tokens may take the fast way."""
        logits = self._decoder.logits(pieces) if only_logits and self._decoder is not None else None
        return Passed(self, self.run(pieces) if logits is None else None, logits)

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
        hidden: Tensor = self.model(torch.from_numpy(ids).to(self._device)[None], positions=mixer.positions[None], mixer=mixer)
        return hidden[0]


class Passed:
    """What a pass left of its tokens, numbered in the order of the pieces."""

    def __init__(self, forward: Forward, hidden: Tensor | None, logits: Tensor | None) -> None:
        self._forward, self._hidden, self._logits = forward, hidden, logits

    def hidden(self, first: int, end: int) -> Float[Tensor, "n d"]:
        """Hidden states of some tokens."""
        assert self._hidden is not None, "said that only logits are wanted"
        return self._hidden[first:end]

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
        self._forward, self._store = forward, forward.store
        device = forward._device
        size = self._store.block_size
        lengths = [len(piece.ids) for piece in pieces]
        rows = np.repeat(np.arange(len(pieces) + 1), [*lengths, spare])
        places = np.concatenate([*(np.arange(piece.start, piece.end) for piece in pieces), np.zeros(spare, np.int64)])
        tables = np.asarray(padded([*(piece.blocks for piece in pieces), [self._store.spare]]), np.int32)
        self.positions = torch.from_numpy(places).to(device)
        self._rows = torch.from_numpy(rows).to(device)
        self._tables = torch.from_numpy(tables).to(device)
        self._pages = torch.from_numpy(tables[rows, places // size].astype(np.int64)).to(device)
        self._places = torch.from_numpy(places % size).to(device)
        self._is_long = [length >= LONG and not forward.is_fixed for length in lengths]
        self._pieces = pieces
        self._short = self._short_tokens(lengths, spare)
        self._masks: dict[tuple[int, int | None], Any] = {}

    def __call__(self, layer: int, look: Look, heads: Heads) -> Float[Tensor, "1 h n c"]:
        del look
        q, k, v = heads  # 1 h n c
        self._store.write(layer, k[0].transpose(0, 1), v[0].transpose(0, 1), pages=self._pages, places=self._places)
        window = self._forward.model.config.view(layer).window
        if not any(self._is_long):
            mixed = self._alone(layer, q[0].transpose(0, 1), None, window)
            return mixed.transpose(0, 1)[None]
        out = torch.empty_like(q)
        if len(self._short):
            out[0, :, self._short] = self._alone(layer, q[0, :, self._short].transpose(0, 1), self._short, window).transpose(
                0, 1
            )
        first = 0
        for number, piece in enumerate(self._pieces):
            end = first + len(piece.ids)
            if self._is_long[number]:
                out[:, :, first:end] = self._together(
                    layer, number, (q[:, :, first:end], k[:, :, first:end], v[:, :, first:end]), window
                )
            first = end
        return out

    def _alone(self, layer: int, q: Tensor, chosen: Int[Tensor, " n"] | None, window: int | None) -> Float[Tensor, "n h c"]:
        """Tokens that each look into their own pages; None: all of them."""
        rows, positions = (self._rows, self.positions) if chosen is None else (self._rows[chosen], self.positions[chosen])
        return paged_attention(
            q.contiguous(),
            self._store.keys[layer],
            self._store.values[layer],
            tables=self._tables,
            rows=rows,
            positions=positions,
            window=window,
        )

    def _together(self, layer: int, number: int, heads: Heads, window: int | None) -> Float[Tensor, "1 h t c"]:
        """The tokens of one piece by the backend that trains."""
        q, k, v = heads
        piece = self._pieces[number]
        if piece.start:
            pages = self._tables[number, : -(-piece.end // self._store.block_size)]
            k, v = self._store.read(layer, pages, piece.end)
        attend = self._forward._attend
        key = number, window
        if key not in self._masks:
            self._masks[key] = self._mask(attend, piece, window)
        return attend(q.contiguous(), k.contiguous(), v.contiguous(), self._masks[key])

    def _mask(self, attend: Attend, piece: Piece, window: int | None) -> Any:  # noqa: ANN401 - the backend's own
        model = self._forward.model
        scene = Scene(MaskSpec(causal=True, window=window), len(piece.ids), self._forward._device, past=piece.start)
        config = model.config
        return attend.prepare(scene, heads=config.heads, kv_heads=config.kv_heads, dtype=model.compute_dtype)

    def _short_tokens(self, lengths: Sequence[int], spare: int) -> Int[Tensor, " n"]:
        """Places among all tokens of those whose piece is short."""
        is_short = np.repeat([*(not is_long for is_long in self._is_long), True], [*lengths, spare])
        return torch.from_numpy(np.flatnonzero(is_short)).to(self.positions.device)


def _count(pieces: Sequence[Piece]) -> int:
    return sum(len(piece.ids) for piece in pieces)


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
