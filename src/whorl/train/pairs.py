"""train/pairs: documents of packed rows as pairs of segments, the second of which may come from elsewhere.

A document of n places becomes `<|bos|> first <|end|> second <|end|>` in the same n places: the markers that open and close
documents open and part pairs too, so a vocabulary needs no others, and the one or two last tokens give way to them. The second
segment is what goes on there, or as many tokens from the end of another document of the same step, at even odds. Both are cut
alike and the cut is drawn before the odds, so neither lengths nor edges give the answer away. A pure function of the batch and
the generator. Does not hide tokens, and looks for no sentences: a segment is any stretch of text, as in
https://arxiv.org/abs/1810.04805.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from whorl.tokens.batch import Batch
from whorl.tokens.tokenizer import Tokenizer

__all__ = ["Paired", "paired_batch"]

_MARKERS = 3  # places of a pair that hold no text
_SHORTEST = _MARKERS + 2  # places of a document that can be a pair: a token in each segment


class Paired(NamedTuple):
    """A batch of pairs, and how many of them have a label."""

    batch: Batch
    num_pairs: int


class _Pieces(NamedTuple):
    """Documents, or what a row holds of them, that become pairs; one entry each."""

    start: np.ndarray  # first place, in all places of the batch
    room: np.ndarray  # tokens of both segments
    text: np.ndarray  # place of the first token of text
    name: np.ndarray  # number of the document it is of


class _Cut(NamedTuple):
    """How each piece is made a pair."""

    second: np.ndarray  # tokens of the second segment
    source: np.ndarray  # place of the first of them
    label: np.ndarray  # 0: it follows; 1: it is of another document; -1: there is no other


def paired_batch(batch: Batch, rng: np.random.Generator, tokenizer: Tokenizer) -> Paired:
    """The batch with pairs in place of documents; those too short for it stay as they are and have no label."""
    pieces = _found(batch, tokenizer)
    cut = _drawn(pieces, rng)
    labels = np.full(batch.ids.shape, -1, dtype=np.int64)
    labels.flat[pieces.start] = cut.label
    segments = np.zeros(batch.ids.shape, dtype=np.int64)
    ids = batch.ids.copy()
    first = pieces.room - cut.second
    ids.flat[pieces.start] = tokenizer.bos
    _copy(ids, batch.ids, to=pieces.start + 1, source=pieces.text, lengths=first)
    ids.flat[pieces.start + 1 + first] = tokenizer.end
    _copy(ids, batch.ids, to=pieces.start + 2 + first, source=cut.source, lengths=cut.second)
    ids.flat[pieces.start + 2 + pieces.room] = tokenizer.end
    segments.flat[_ranges(pieces.start + 2 + first, cut.second + 1)] = 1
    return Paired(replace(batch, ids=ids, segments=segments, labels=labels), int((cut.label >= 0).sum()))


def _found(batch: Batch, tokenizer: Tokenizer) -> _Pieces:
    begins = np.ones(batch.docs.shape, dtype=bool)
    begins[:, 1:] = batch.docs[:, 1:] != batch.docs[:, :-1]
    start = np.flatnonzero(begins)
    length = np.diff(start, append=batch.docs.size)
    is_pair = (batch.docs.flat[start] >= 0) & (length >= _SHORTEST)
    start, length = start[is_pair], length[is_pair]
    rows = start // batch.docs.shape[1]
    names = [batch.doc_ids[row][number] for row, number in zip(rows.tolist(), batch.docs.flat[start].tolist(), strict=True)]
    number_of = {name: number for number, name in enumerate(dict.fromkeys(names))}
    has_opening = batch.ids.flat[start] == tokenizer.bos
    return _Pieces(start, length - _MARKERS, start + has_opening, np.array([number_of[name] for name in names], np.int64))


def _drawn(pieces: _Pieces, rng: np.random.Generator) -> _Cut:
    """A donor for every piece, then a cut that both allow, then whether the donor is taken."""
    count = len(pieces.start)
    by_name = np.argsort(pieces.name, kind="stable")
    sizes = np.bincount(pieces.name)[pieces.name]
    before = (np.cumsum(np.bincount(pieces.name)) - np.bincount(pieces.name))[pieces.name]
    drawn = (rng.random(count) * (count - sizes)).astype(np.int64)  # among the pieces of other documents
    donor = by_name[np.where(drawn >= before, drawn + sizes, drawn) % max(1, count)]
    most = np.where(sizes < count, np.minimum(pieces.room, pieces.room[donor]), pieces.room) - 1
    second = 1 + (rng.random(count) * most).astype(np.int64)
    label = np.where(sizes < count, rng.random(count) < 0.5, -1).astype(np.int64)
    giver = np.where(label == 1, donor, np.arange(count))
    return _Cut(second, pieces.text[giver] + pieces.room[giver] - second, label)


def _copy(into: np.ndarray, ids: np.ndarray, *, to: np.ndarray, source: np.ndarray, lengths: np.ndarray) -> None:
    into.flat[_ranges(to, lengths)] = ids.flat[_ranges(source, lengths)]


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Numbers from each start on, as many as its length, one after the other."""
    ends = np.cumsum(lengths)
    numbers: np.ndarray = np.arange(lengths.sum()) + np.repeat(starts - (ends - lengths), lengths)
    return numbers
