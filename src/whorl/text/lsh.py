"""text/lsh: which rows of a signature table are worth comparing: the ones that agree on a whole band.

Two texts of similarity s meet with probability 1 - (1 - s^rows)^bands: with 14 bands of 8 rows that is 1 % at 0.4, 56 % at
0.7, 92 % at 0.8 and over 99.9 % at 0.9. Links do not depend on the order of the rows, only on their keys. Memory: one band
at a time.
Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, chapter 3.
"""

import numpy as np
import numpy.typing as npt

from whorl.text.minhash import NO_WORDS, similarity

__all__ = ["candidate_pairs", "linked_pairs"]

Pairs = npt.NDArray[np.int64]  # pairs x 2, row numbers

_BASE = np.uint64(0x9E3779B97F4A7C15)


def linked_pairs(table: npt.NDArray[np.uint32], keys: npt.NDArray[np.uint64], *, bands: int, threshold: float) -> Pairs:
    """Pairs that share a band and whose estimated similarity reaches the threshold.

    `keys` are different for different texts (a hash of their ids) and stand for the rows whatever order they come in.
    """
    pairs = candidate_pairs(table, keys, bands)
    close = similarity(table[pairs[:, 0]], table[pairs[:, 1]]) >= threshold
    return pairs[close]


def candidate_pairs(table: npt.NDArray[np.uint32], keys: npt.NDArray[np.uint64], bands: int) -> Pairs:
    """Pairs that share a band, at most two per text and band: with the bucket's smallest key, and with its neighbour.

    A bucket is linked through its members, so pairs stay linear in texts however large the bucket.
    """
    has_words = np.flatnonzero((table != NO_WORDS).any(axis=1))
    rows = table.shape[1] // bands
    found = [np.zeros((0, 2), dtype=np.int64)]
    for band in range(bands):
        codes = _band_codes(table[has_words, band * rows : (band + 1) * rows])
        found.append(has_words[_bucket_pairs(codes, keys[has_words])])
    return np.unique(np.concatenate(found), axis=0)


def _band_codes(band: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    codes = np.zeros(len(band), dtype=np.uint64)
    for column in range(band.shape[1]):
        codes = (codes ^ (codes >> np.uint64(29))) * _BASE + band[:, column]
    return codes


def _bucket_pairs(codes: npt.NDArray[np.uint64], keys: npt.NDArray[np.uint64]) -> Pairs:
    order = np.lexsort((keys, codes))
    same = np.concatenate([[False], codes[order[1:]] == codes[order[:-1]]]) if len(order) else np.zeros(0, dtype=np.bool_)
    later = np.flatnonzero(same)
    head = np.maximum.accumulate(np.where(same, 0, np.arange(len(order))))
    pairs = np.concatenate([np.stack([order[head[later]], order[later]], 1), np.stack([order[later - 1], order[later]], 1)])
    return np.sort(pairs, axis=1)
