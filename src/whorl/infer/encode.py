"""infer/encode: a model as a reader: vectors of whole sequences, their classes, and what stands in their gaps.

Sequences of like length share a forward pass, padded and masked, under a budget of tokens; what a sequence gets depends on no
other. Any model reads: one that looks both ways and a causal one alike. Does not know text or markup, and does not generate.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from whorl.core.errors import DataError, UsageError
from whorl.model.heads import pooled
from whorl.model.mask import PADDING, MaskSpec
from whorl.model.transformer import Transformer

__all__ = ["Encoder", "Gap", "Pooling"]

TOKENS = 16_384  # of one forward pass, padding included
FULL = 0.75  # a sequence shorter than this share of the longest beside it waits for the next pass: padding is work too

Pooling = Literal["first", "mean", "last"]
Ids = Sequence[int] | np.ndarray


@dataclass(frozen=True)
class Gap:
    """The likeliest tokens of one hidden place, best first; of equal ones the lower id."""

    position: int
    ids: tuple[int, ...]
    logprobs: tuple[float, ...]  # nats


@dataclass(frozen=True)
class _Pass:
    """Sequences read together."""

    places: list[int]  # which sequence each row is
    ids: Int[Tensor, "b t"]
    docs: Int[Tensor, "b t"]  # 0, or PADDING
    segments: Int[Tensor, "b t"] | None

    @property
    def last(self) -> Int[Tensor, " b"]:
        """The last place of each row that holds text."""
        return (self.docs != PADDING).sum(dim=1) - 1


class Encoder:
    """A model that reads. Weights may change between calls."""

    def __init__(self, model: Transformer, *, pad_id: int, tokens: int = TOKENS) -> None:
        assert tokens >= 1, f"tokens={tokens}, want at least 1"
        self.model = model
        self.pad_id = pad_id
        self.tokens = tokens

    @property
    def pooling(self) -> Pooling:
        """What the model was built to be read by; else the last place of a causal one, which alone has seen everything, or
        the mean of the places.
        """
        config = self.model.config
        if config.pooler != "none":
            return config.pooler
        return "last" if config.causal else "mean"

    @torch.inference_mode()
    def embed(
        self,
        sequences: Sequence[Ids],
        *,
        pooling: Pooling | None = None,
        normalise: bool = True,
        segments: Sequence[Ids] | None = None,
    ) -> Float[np.ndarray, "n d"]:
        """A vector for each sequence, float32, in order: a hidden state after the final norm, or the mean of all.

        `pooling` None is the model's own; `normalise` makes every length 1, so that dot products are cosines; `segments` tell
        the parts of each sequence apart, for models that have them. Raises DataError for a sequence that is empty, too long or
        holds unknown ids, and for figures that are not finite.
        """
        chosen = pooling or self.pooling

        def found(one: _Pass) -> Tensor:
            states = self._pooled(one, chosen).float()
            return functional.normalize(states, dim=-1) if normalise else states

        return self._rows(sequences, segments, self.model.config.width, found)

    @torch.inference_mode()
    def classify(self, sequences: Sequence[Ids], *, segments: Sequence[Ids] | None = None) -> Float[np.ndarray, "n c"]:
        """Log-probability of every class for each sequence, nats, float32, in order.

        Raises UsageError for a model without classes, DataError as `embed` does.
        """
        if not self.model.config.classes:
            raise UsageError(
                "this model tells no classes: it was built with classes=0; train one with classes (bert, modernbert), or score "
                "given answers with infer/labels"
            )

        def found(one: _Pass) -> Tensor:
            return self.model.classify(self._pooled(one, self.pooling)).float().log_softmax(dim=-1)

        return self._rows(sequences, segments, self.model.config.classes, found)

    @torch.inference_mode()
    def fill(
        self, sequences: Sequence[Ids], *, mask_id: int, top: int = 5, segments: Sequence[Ids] | None = None
    ) -> list[list[Gap]]:
        """The likeliest tokens wherever a sequence holds the mask, by sequence and from left to right.

        Raises UsageError for a model that fills no gaps, DataError as `embed` does.
        """
        config = self.model.config
        if config.causal or (config.classes and not config.head_bias):
            kind = "reads from left to right (causal=True)" if config.causal else "tells classes only"
            raise UsageError(f"this model fills no gaps: it {kind}; want one trained with masked or next_sentence")
        if not 1 <= top <= config.vocab_size:
            raise UsageError(f"top={top}; want 1 to {config.vocab_size}, the size of the vocabulary")
        found: list[list[Gap]] = [[] for _ in sequences]
        for one in self._passes(sequences, segments):
            rows, positions = (one.ids == mask_id).nonzero(as_tuple=True)
            if not len(rows):
                continue
            # Only the hidden places meet the output matrix: all of them would be t times v figures a row.
            logits = self.model.logits(self._hidden(one)[rows, positions])
            best, ids = logits.log_softmax(dim=-1).sort(dim=-1, descending=True, stable=True)
            self._check_finite(best.isfinite().all(dim=-1).cpu().numpy(), [one.places[row] for row in rows.tolist()])
            for row, position, logps, likely in zip(
                rows.tolist(), positions.tolist(), best[:, :top].tolist(), ids[:, :top].tolist(), strict=True
            ):
                found[one.places[row]].append(Gap(position, tuple(likely), tuple(logps)))
        return found

    @property
    def _device(self) -> torch.device:
        return self.model.embed.weight.device

    def _rows(
        self, sequences: Sequence[Ids], segments: Sequence[Ids] | None, width: int, found: Callable[[_Pass], Tensor]
    ) -> Float[np.ndarray, "n w"]:
        rows = np.zeros((len(sequences), width), dtype=np.float32)
        for one in self._passes(sequences, segments):
            figures = found(one).cpu().numpy()
            self._check_finite(np.isfinite(figures).all(axis=1), one.places)
            rows[one.places] = figures
        return rows

    def _hidden(self, one: _Pass) -> Float[Tensor, "b t d"]:
        hidden: Tensor = self.model(one.ids, mask=MaskSpec(docs=one.docs), segments=one.segments)
        return hidden

    def _pooled(self, one: _Pass, pooling: Pooling) -> Float[Tensor, "b d"]:
        hidden = self._hidden(one)
        if pooling == "last":
            return hidden[torch.arange(len(hidden), device=hidden.device), one.last]
        return pooled(hidden, one.docs, pooler=pooling)

    def _passes(self, sequences: Sequence[Ids], segments: Sequence[Ids] | None) -> Iterator[_Pass]:
        """All sequences, longest first: a pass that is too large for the memory is the first one."""
        read = [np.asarray(ids, dtype=np.int64) for ids in sequences]
        for number, ids in enumerate(read):
            self._check(ids, number)
        parts = None if segments is None else self._parts(segments, read)
        for places in _alike([len(ids) for ids in read], tokens=self.tokens):
            rows = [read[place] for place in places]
            table, docs = _padded(rows, self.pad_id), _padded([np.zeros_like(row) for row in rows], PADDING)
            told = None if parts is None else _padded([parts[place] for place in places], 0).to(self._device)
            yield _Pass(places, table.to(self._device), docs.to(self._device), told)

    def _parts(self, segments: Sequence[Ids], read: Sequence[np.ndarray]) -> list[np.ndarray]:
        parts = [np.asarray(one, dtype=np.int64) for one in segments]
        known = self.model.config.segments
        if not known:
            raise UsageError("this model tells no segments apart (segments=0); leave them out")
        if [len(one) for one in parts] != [len(ids) for ids in read]:
            raise DataError("segments: want one number for every token of every sequence")
        for number, one in enumerate(parts):
            if one.min() < 0 or one.max() >= known:
                raise DataError(f"segments of sequence {number}: want numbers from 0 to {known - 1}, got {sorted(set(one))}")
        return parts

    def _check(self, ids: np.ndarray, number: int) -> None:
        config = self.model.config
        if not len(ids):
            raise DataError(f"sequence {number} is empty; want at least one token")
        if len(ids) > config.max_positions:
            raise DataError(
                f"sequence {number} has {len(ids)} tokens; the model's context is {config.max_positions}; shorten or cut it"
            )
        strange = ids[(ids < 0) | (ids >= config.vocab_size)]
        if strange.size:
            raise DataError(f"sequence {number} holds id {strange[0]}; want ids from 0 to {config.vocab_size - 1}")

    def _check_finite(self, is_finite: np.ndarray, places: Sequence[int]) -> None:
        if not is_finite.all():
            broken = places[int(np.flatnonzero(~is_finite)[0])]
            raise DataError(f"sequence {broken}: the model's figures are not finite; are its weights whole? try dtype fp32")


def _alike(lengths: Sequence[int], *, tokens: int) -> Iterator[list[int]]:
    """Numbers of sequences that go together, longest first."""
    order = sorted(range(len(lengths)), key=lambda number: (-lengths[number], number))
    begin = 0
    while begin < len(order):
        longest = lengths[order[begin]]
        end = min(len(order), begin + max(1, tokens // longest))
        chosen = [number for number in order[begin:end] if lengths[number] >= FULL * longest]
        yield chosen
        begin += len(chosen)


def _padded(rows: Sequence[np.ndarray], filler: int) -> Int[Tensor, "b t"]:
    table = np.full((len(rows), max(map(len, rows))), filler, dtype=np.int64)
    for row, ids in enumerate(rows):
        table[row, : len(ids)] = ids
    return torch.from_numpy(table)
