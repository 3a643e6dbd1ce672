"""evals/baselines/ngram: interpolated byte n-gram with Witten-Bell smoothing.

    p_k(c | context) = (count(context c) + kinds(context) * p_{k-1}(c | shorter context)) / (count(context) + kinds(context))

with p_0 = 1/256 and kinds(context) = how many different bytes followed it; an unseen context passes p_{k-1} on. Every document,
in training and in scoring, begins behind boundary marks that are context but never predicted, and the end of a document is
not predicted either: the 256 bytes share the whole probability. Sorted arrays, no hash tables: one sort per order.
Smoothing method C of Bell, Cleary, Witten 1990, as interpolated in Chen and Goodman 1998.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from whorl.evals.baselines import Baseline, Cost

__all__ = ["Ngram"]

_BOUNDARY = 256
_BITS = 9  # per symbol: 256 bytes and the boundary; 7 symbols fit in 64 bits


class Ngram(Baseline):
    """Byte n-gram; `order` 5 looks at the four bytes before."""

    definition: ClassVar[str] = "byte n-gram, interpolated Witten-Bell, each document scored from its beginning"

    order: int = Field(default=5, ge=1, le=7)  # bytes, the predicted one included

    def cost(self, train: Sequence[bytes], scored: Sequence[bytes]) -> Cost:
        """See Baseline.cost. O(order x n log n) in the training bytes."""
        text = _Text.of(scored, self.order)
        chance = np.full(int(text.is_predicted.sum()), 1 / 256)
        for fitted, grams in zip(_fit(_Text.of(train, self.order), self.order), _grams(text, self.order), strict=True):
            chance = fitted.chance(grams, chance)
        bits = np.bincount(text.documents[text.is_predicted], weights=-np.log2(chance), minlength=len(scored))
        return Cost(float(bits.sum()), bits)


class _Text(NamedTuple):
    """Documents as symbols, each behind `order - 1` boundary marks."""

    symbols: np.ndarray  # int64
    documents: np.ndarray  # int64: which document a symbol belongs to
    is_predicted: np.ndarray  # bool: not a boundary mark

    @classmethod
    def of(cls, documents: Sequence[bytes], order: int) -> "_Text":
        marks = np.full(order - 1, _BOUNDARY, dtype=np.int64)
        pieces = [piece for document in documents for piece in (marks, np.frombuffer(document, dtype=np.uint8))]
        symbols = np.concatenate([*pieces, marks[:0]]).astype(np.int64)
        lengths = [len(document) + order - 1 for document in documents]
        return cls(symbols, np.repeat(np.arange(len(documents)), lengths), symbols != _BOUNDARY)


def _grams(text: _Text, order: int) -> Iterator[np.ndarray]:
    """For k = 1 .. order, the last k symbols up to each predicted one, packed with the predicted one lowest."""
    packed = np.zeros_like(text.symbols)
    for back in range(order):
        # The first `back` symbols have no such neighbour, but they are boundary marks and predicted nowhere.
        packed[back:] += text.symbols[: len(text.symbols) - back] << (_BITS * back)
        yield packed[text.is_predicted]


class _Order(NamedTuple):
    """Counts of one order: sorted packed grams, and their contexts."""

    grams: np.ndarray
    counts: np.ndarray
    contexts: np.ndarray
    totals: np.ndarray  # occurrences of a context
    kinds: np.ndarray  # different bytes seen after it

    def chance(self, grams: np.ndarray, shorter: np.ndarray) -> np.ndarray:
        """p_k of each gram's last byte, given p_{k-1}."""
        count = _looked_up(self.grams, self.counts, grams)
        total = _looked_up(self.contexts, self.totals, grams >> _BITS)
        kinds = _looked_up(self.contexts, self.kinds, grams >> _BITS)
        return np.where(total > 0, (count + kinds * shorter) / np.maximum(total + kinds, 1), shorter)


def _fit(text: _Text, order: int) -> Iterator[_Order]:
    for packed in _grams(text, order):
        grams, counts = np.unique(packed, return_counts=True)
        contexts, first, kinds = np.unique(grams >> _BITS, return_index=True, return_counts=True)
        totals = np.add.reduceat(counts, first) if len(first) else counts
        yield _Order(grams, counts, contexts, totals, kinds)


def _looked_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The value of each wanted key, 0 where it is absent. `keys` is sorted."""
    if not len(keys):
        return np.zeros(len(wanted), dtype=np.int64)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0)
