"""tokens/unigram: learn which pieces of bytes make a table of words most probable, and how probable each piece is.

Candidates are the substrings of whole characters that weigh most; expectation and maximisation alternate with pruning those
that are missed least, and all 256 bytes stay. Words are taken in a fixed order by one thread: the same table gives the same
pieces and the same scores, bit by bit, which a parallel sum over a hash map cannot promise. Unlike the published learner it
works on bytes and takes plain maximum likelihood. Does not split texts into words (tokens/learn does).
Unigram language model: https://arxiv.org/abs/1804.10959.
"""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from whorl.tokens.lattice import (
    LENGTH_BITS,
    LONGEST,
    LONGEST_WORD,
    START,
    count_substrings,
    expect,
    fill,
    grown,
    losses_without,
    use_best_paths,
)

__all__ = ["Piece", "learn_pieces"]

_SEEDS_PER_PIECE: Final = 12  # candidates for every piece wanted
_MIN_SEEDS: Final = 1 << 16
_AT_ONCE: Final = 1 << 22  # substrings counted in one pass; 100 MB of table
_KEPT: Final = 0.75  # of the candidates survive a pruning
_SPARE: Final = 1.1  # candidates kept for every piece wanted, until the last choice by probability
_ROUNDS: Final = 2  # of expectation and maximisation between two prunings
_RARE: Final = 0.5  # expected uses below which a candidate goes; what a byte that is never used counts as


class Piece(NamedTuple):
    """A piece of bytes and the logarithm of its probability."""

    data: bytes
    score: float


class _Words(NamedTuple):
    """Distinct words, sorted by their bytes, one after another."""

    data: np.ndarray  # uint8
    starts: np.ndarray  # int64, one more than there are words
    counts: np.ndarray  # int64


class _Model(NamedTuple):
    """Candidates: where each begins in the words' bytes, how long it is, its hash and its score."""

    places: np.ndarray  # int64; of a single byte: minus one minus the byte
    lengths: np.ndarray  # int64
    hashes: np.ndarray  # uint64
    scores: np.ndarray  # float64

    def chosen(self, which: np.ndarray) -> "_Model":
        return _Model(*(column[which] for column in self))


def learn_pieces(words: Mapping[str, int], size: int) -> list[Piece]:
    """The `size` best pieces, or fewer if the words have no more: all bytes in order, then the others by falling score.

    `words` is distinct words with their counts; sums are in 64 bits. Time and memory grow with distinct words, not text.
    """
    assert size >= 256, "there are 256 bytes"
    table = _words(words)
    model = _seeds(table, max(_MIN_SEEDS, _SEEDS_PER_PIECE * size))
    wanted = math.ceil(_SPARE * size)
    while True:
        for _ in range(_ROUNDS):
            model = _maximised(model, _expected(table, model))
        if len(model.scores) <= wanted:
            return _best(table, model, size)
        model = _pruned(table, model, max(wanted, int(_KEPT * len(model.scores))))


def _words(words: Mapping[str, int]) -> _Words:
    parts: dict[bytes, int] = {}
    for word, count in words.items():
        for part in _bounded(word):
            parts[part] = parts.get(part, 0) + count
    ordered = sorted(parts)
    starts = np.zeros(len(ordered) + 1, dtype=np.int64)
    np.cumsum([len(part) for part in ordered], out=starts[1:])
    counts = np.array([parts[part] for part in ordered], dtype=np.int64)
    return _Words(np.frombuffer(b"".join(ordered), dtype=np.uint8), starts, counts)


def _bounded(word: str) -> list[bytes]:
    data = word.encode()
    if len(data) <= LONGEST_WORD:
        return [data]
    step = LONGEST_WORD // 4  # characters, each at most four bytes
    return [word[start : start + step].encode() for start in range(0, len(word), step)]


def _seeds(table: _Words, most: int) -> _Model:
    """All bytes, and the substrings with the greatest count times length among those that occur twice."""
    lengths = np.diff(table.starts)
    passes = 1 + int((lengths * np.minimum(lengths, LONGEST)).sum()) // _AT_ONCE  # characters are not looked at: a bound
    found: tuple[np.ndarray, ...] = tuple(np.empty(0, kind) for kind in (np.uint64, np.int64, np.int64))
    for number in range(passes):
        hashes, totals, places = count_substrings(table, number, passes)
        is_twice = totals > 1
        columns = zip(found, (hashes[is_twice], totals[is_twice], places[is_twice]), strict=True)
        hashes, totals, places = (np.concatenate(pair) for pair in columns)
        weights = totals * (places & ((1 << LENGTH_BITS) - 1))
        heaviest = np.lexsort((hashes, -weights))[:most]
        found = (hashes[heaviest], totals[heaviest], places[heaviest])
    hashes, totals, places = found
    letters = np.arange(256)
    byte_hashes = np.array([grown(START, letter) for letter in letters], dtype=np.uint64)
    # Counting each occurrence of a substring for itself is a start that the first round corrects.
    uses = np.concatenate([np.ones(256), totals.astype(np.float64)])
    return _Model(
        np.concatenate([-1 - letters, places >> LENGTH_BITS]),
        np.concatenate([np.ones(256, np.int64), places & ((1 << LENGTH_BITS) - 1)]),
        np.concatenate([byte_hashes, hashes]),
        np.log(uses / uses.sum()),
    )


def _expected(table: _Words, model: _Model) -> np.ndarray:
    expected = np.zeros(len(model.scores))
    expect(table, *_lookup(model.hashes), model.scores, expected)
    return expected


def _maximised(model: _Model, expected: np.ndarray) -> _Model:
    """Scores from expected uses, without the candidates that are hardly used."""
    stays = (expected >= _RARE) | (model.lengths == 1)
    uses = np.maximum(expected[stays], _RARE)
    return model.chosen(stays)._replace(scores=np.log(uses / uses.sum()))


def _pruned(table: _Words, model: _Model, most: int) -> _Model:
    """The bytes, and those candidates without which the words would become most improbable."""
    keys, values = _lookup(model.hashes)
    uses = np.zeros(len(model.scores))
    use_best_paths(table, keys, values, model.scores, uses)
    losses = losses_without(table.data, keys, values, model, uses)
    losses[model.lengths == 1] = np.inf
    order = np.lexsort((model.hashes, -losses))[:most]
    return model.chosen(np.sort(order[losses[order] > -np.inf]))


def _best(table: _Words, model: _Model, size: int) -> list[Piece]:
    others = np.flatnonzero(model.lengths > 1)
    spelled = {int(number): _spelling(table, model, int(number)) for number in others}
    order = sorted(spelled, key=lambda number: (-model.scores[number], spelled[number]))[: size - 256]
    letters = [Piece(bytes([letter]), float(model.scores[letter])) for letter in range(256)]
    return letters + [Piece(spelled[number], float(model.scores[number])) for number in order]


def _spelling(table: _Words, model: _Model, number: int) -> bytes:
    place = model.places[number]
    return table.data[place : place + model.lengths[number]].tobytes()


def _lookup(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An open table hash -> number, at most half full."""
    room = 1 << int(2 * len(hashes)).bit_length()
    keys, values = np.zeros(room, np.uint64), np.full(room, -1, np.int64)
    fill(keys, values, hashes)
    return keys, values
