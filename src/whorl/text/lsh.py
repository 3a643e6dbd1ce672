"""text/lsh: which rows of a signature table are worth comparing: the ones that agree on a whole band.

Two texts of similarity s meet with probability 1 - (1 - s^rows)^bands: with 14 bands of 8 rows that is 1 % at 0.4, 56 % at
0.7, 92 % at 0.8 and over 99.9 % at 0.9. `recall_at` also counts the second hurdle, the estimated similarity that must reach the
threshold. Links do not depend on the order of the rows, only on their keys. Memory: one band at a time.
Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, chapter 3.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from whorl.text.minhash import NO_WORDS, similarity

__all__ = [
    "CURVE",
    "NO_MATCH",
    "KnownBand",
    "KnownTable",
    "Matches",
    "band_codes",
    "candidate_pairs",
    "known_matches",
    "linked_pairs",
    "recall_at",
    "recall_curve",
    "sorted_bands",
]

Pairs = npt.NDArray[np.int64]  # pairs x 2, row numbers
Codes = npt.NDArray[np.uint64]


class KnownBand(NamedTuple):
    """Rows of a signature table in the order of their codes for one band; may be memory-mapped."""

    rows: npt.NDArray[np.int64]
    codes: Codes  # ascending


class KnownTable(NamedTuple):
    """Signatures of texts known before, and an order of them per band; all may be memory-mapped."""

    signatures: npt.NDArray[np.uint32]
    bands: tuple[KnownBand, ...]


class Matches(NamedTuple):
    """For each row of a table, the known row that resembles it most, or NO_MATCH, and how much (0 where none does)."""

    known: npt.NDArray[np.int64]
    similarity: npt.NDArray[np.float64]


NO_MATCH = -1
CURVE = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)  # similarities whose recall is worth knowing when bands are chosen

BUCKET_ROWS = 32  # a larger bucket is a common phrase rather than one text; its texts meet in other bands

_COMPARED = 65_536  # pairs whose signatures are held at once
_BASE = np.uint64(0x9E3779B97F4A7C15)
_ROUNDING = 1e-9  # 0.7 * 10 must not ask for 8 equal entries of 10


def linked_pairs(table: npt.NDArray[np.uint32], keys: npt.NDArray[np.uint64], *, bands: int, threshold: float) -> Pairs:
    """Pairs that share a band and whose estimated similarity reaches the threshold.

    `keys` are different for different texts (a hash of their ids) and stand for the rows whatever order they come in.
    """
    pairs = candidate_pairs(table, keys, bands)
    close = similarity(table[pairs[:, 0]], table[pairs[:, 1]]) >= threshold - _ROUNDING
    return pairs[close]


def candidate_pairs(table: npt.NDArray[np.uint32], keys: npt.NDArray[np.uint64], bands: int) -> Pairs:
    """Pairs that share a band, at most two per text and band: with the bucket's smallest key, and with its neighbour.

    A bucket is linked through its members, so pairs stay linear in texts however large the bucket.
    """
    found = [np.zeros((0, 2), dtype=np.int64)]
    for rows, codes in band_codes(table, bands):
        found.append(rows[_bucket_pairs(codes, keys[rows])])
    return np.unique(np.concatenate(found), axis=0)


def known_matches(table: npt.NDArray[np.uint32], known: KnownTable, threshold: float) -> Matches:
    """What each row repeats of a table known before: shares a band with, and reaches the threshold. Equals go to the first.

    Memory beside the table: pairs that share a band, and the known signatures of some ten thousand of them at a time.
    """
    pairs = _meeting_pairs(table, known.bands)
    similar = [np.zeros(0)]
    for begin in range(0, len(pairs), _COMPARED):
        left, right = pairs[begin : begin + _COMPARED].T
        similar.append(similarity(table[left], known.signatures[right]))
    alike = np.concatenate(similar)
    is_close = alike >= threshold - _ROUNDING
    pairs, alike = pairs[is_close], alike[is_close]
    order = np.lexsort((pairs[:, 1], -alike, pairs[:, 0]))
    rows, first = np.unique(pairs[order, 0], return_index=True)
    matches = Matches(np.full(len(table), NO_MATCH), np.zeros(len(table)))
    matches.known[rows] = pairs[order, 1][first]
    matches.similarity[rows] = alike[order][first]
    return matches


def sorted_bands(table: npt.NDArray[np.uint32], bands: int) -> Iterator[KnownBand]:
    """For each band, the rows that have words in the order of their codes. Memory: one band."""
    for rows, codes in band_codes(table, bands):
        order = np.argsort(codes, kind="stable")
        yield KnownBand(rows[order], codes[order])


def _meeting_pairs(table: npt.NDArray[np.uint32], known: Sequence[KnownBand]) -> Pairs:
    """Pairs of a row and a known row that share a band, with at most BUCKET_ROWS known rows of a bucket: the first ones."""
    found = [np.zeros((0, 2), dtype=np.int64)]
    for (rows, codes), band in zip(band_codes(table, len(known)), known, strict=True):
        low = np.searchsorted(band.codes, codes)
        sizes = np.minimum(np.searchsorted(band.codes, codes, side="right") - low, BUCKET_ROWS)
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        found.append(np.stack([np.repeat(rows, sizes), band.rows[np.repeat(low, sizes) + within]], axis=1))
    return np.unique(np.concatenate(found), axis=0)


def band_codes(table: npt.NDArray[np.uint32], bands: int) -> Iterator[tuple[npt.NDArray[np.int64], Codes]]:
    """For each band, the rows that have words and one code per row; rows agree on a band when their codes are equal."""
    has_words = np.flatnonzero((table != NO_WORDS).any(axis=1))
    rows = table.shape[1] // bands
    for band in range(bands):
        yield has_words, _hashed(table[has_words, band * rows : (band + 1) * rows])


def recall_at(similarities: Sequence[float], *, bands: int, rows: int, threshold: float = 0.0) -> list[float]:
    """Probability that two texts of each Jaccard similarity are linked: they share a band, and enough entries agree.

    Exact for independent entries: the number of agreeing ones is binomial, and so is each band's. The estimate of a short text
    varies less than that, so the threshold separates a little more sharply than said here.
    """
    needed = int(np.ceil(threshold * bands * rows - _ROUNDING))
    return [_linked(s, bands, rows, needed=needed) for s in similarities]


def recall_curve(bands: int, rows: int, threshold: float = 0.0) -> dict[float, float]:
    """`recall_at` the similarities of CURVE."""
    return dict(zip(CURVE, recall_at(CURVE, bands=bands, rows=rows, threshold=threshold), strict=True))


def _linked(similarity: float, bands: int, rows: int, *, needed: int) -> float:
    agreeing = _power(np.array([1 - similarity, similarity]), rows)  # entries of one band
    partial = agreeing.copy()
    partial[-1] = 0.0  # a band that agrees as a whole is a meeting
    missed = _power(partial, bands)
    alike = _power(agreeing, bands)
    return float(np.clip((alike - missed)[needed:].sum(), 0.0, 1.0))


def _power(polynomial: npt.NDArray[np.float64], times: int) -> npt.NDArray[np.float64]:
    """Coefficients of the polynomial raised to a power, all of them: `degree * times + 1`."""
    product = np.ones(1)
    for _ in range(times):
        product = np.convolve(product, polynomial)
    return product


def _hashed(band: npt.NDArray[np.uint32]) -> Codes:
    codes = np.zeros(len(band), dtype=np.uint64)
    for column in range(band.shape[1]):
        codes = (codes ^ (codes >> np.uint64(29))) * _BASE + band[:, column]
    return codes


def _bucket_pairs(codes: Codes, keys: npt.NDArray[np.uint64]) -> Pairs:
    order = np.lexsort((keys, codes))
    same = np.concatenate([[False], codes[order[1:]] == codes[order[:-1]]]) if len(order) else np.zeros(0, dtype=np.bool_)
    later = np.flatnonzero(same)
    head = np.maximum.accumulate(np.where(same, 0, np.arange(len(order))))
    pairs = np.concatenate([np.stack([order[head[later]], order[later]], 1), np.stack([order[later - 1], order[later]], 1)])
    return np.sort(pairs, axis=1)
