"""text/minhash: signatures whose equal entries estimate the Jaccard similarity of two texts' word shingles.

Shingling, hashing and the minimum over all permutations are one compiled loop over word hashes: memory is one row of
permutations, not shingles x permutations. Punctuation and case do not count. Does not decide what a duplicate is.
Broder 1997, https://doi.org/10.1109/SEQUEN.1997.666900; hashing by multiply-shift, Dietzfelbinger et al. 1997.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from whorl.core.seed import Seed
from whorl.text.words import Words

__all__ = ["NO_WORDS", "signatures", "similarity"]

NO_WORDS = np.uint32(0xFFFFFFFF)  # every entry of a text without words; it resembles nothing

_SHINGLE_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)


class _Permutations(NamedTuple):
    factors: npt.NDArray[np.uint64]
    terms: npt.NDArray[np.uint64]


@lru_cache(maxsize=8)
def _permutations(count: int) -> _Permutations:
    # Fixed for ever: signatures of different runs must be comparable.
    draws = Seed(0).child("minhash").generator().integers(0, 2**64, size=(count, 2), dtype=np.uint64)
    factors, terms = np.ascontiguousarray(draws[:, 0] | np.uint64(1)), np.ascontiguousarray(draws[:, 1])
    return _Permutations(factors, terms)


def signatures(words: Words, permutations: int = 112, *, shingle_words: int = 5) -> npt.NDArray[np.uint32]:
    """Signatures of a batch, texts x permutations. A text shorter than a shingle is one shingle."""
    hashes, first = words.only_words()
    drawn = np.full((len(first) - 1, permutations), NO_WORDS, dtype=np.uint32)
    _fill(hashes, first, shingle_words, _permutations(permutations), drawn)
    return drawn


def similarity(left: npt.NDArray[np.uint32], right: npt.NDArray[np.uint32]) -> npt.NDArray[np.float64]:
    """Estimated Jaccard similarity of each pair of rows. Standard error is sqrt(J (1 - J) / permutations)."""
    return np.asarray((left == right).mean(axis=1), dtype=np.float64)


@njit(cache=True, nogil=True)
def _fill(hashes, first, width, permutations, drawn):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    factors, terms = permutations
    for d in range(len(first) - 1):
        begin, end = first[d], first[d + 1]
        if begin == end:
            continue
        row = drawn[d]
        for i in range(begin, max(begin + 1, end - width + 1)):
            code = np.uint64(0)
            for j in range(i, min(i + width, end)):
                code = code * _SHINGLE_BASE + hashes[j]
            code = (code ^ code >> _HALF) * _MIX
            for p in range(len(row)):
                value = np.uint32((code * factors[p] + terms[p]) >> _HALF)
                row[p] = min(row[p], value)
