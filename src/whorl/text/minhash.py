"""text/minhash: signatures whose equal entries estimate the Jaccard similarity of two texts' word shingles.

Shingling, hashing and the minimum over all entries are compiled loops over word hashes: memory is one row, not shingles x
entries. Punctuation and case do not count. Does not decide what a duplicate is.
Broder 1997, https://doi.org/10.1109/SEQUEN.1997.666900. The values of one shingle are spread evenly over the entries, so that
it is seldom the least in two of them: entries sample shingles nearly without replacement, and for texts of some hundred words
the error is a tenth to a quarter below that of independent permutations, as in Ertl 2017, https://arxiv.org/abs/1706.05698;
there it takes a shuffle per shingle, here a multiplication modulo 2^32 per entry, sixteen to a vector register.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from whorl.core.kernels import kernel
from whorl.core.seed import Seed
from whorl.text.words import Words

__all__ = ["CODE", "NO_WORDS", "Entries", "entries_of", "signatures", "similarity"]

CODE = 2  # signatures may be compared when made by the same code, width and shingle; raised when entries change
NO_WORDS = np.uint32(0xFFFFFFFF)  # every entry of a text without words; it resembles nothing

_SHINGLE_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX, _MIX_AGAIN = np.uint64(0xD6E8FEB86659FD93), np.uint64(0xBF58476D1CE4E5B9)
_HALF, _ODD = np.uint64(32), np.uint32(1)
_BLOCK = 256  # shingles hashed at a time: 4 kB, so they stay in the first cache
_LANE = 4  # shingles whose minimum is taken in registers before the row is written back
_UINT32 = np.uint32


class Entries(NamedTuple):
    """Entry p of a signature is the least `(factor * steps[p] + term) ^ flips[p]`, modulo 2^32, over a text's shingles.

    A shingle's hash is its odd `factor` and its `term`. An odd factor permutes the evenly spaced steps, so the leading bits of
    one shingle's values all differ; flips change the rest, so that two shingles in one place are not always in one order.
    """

    steps: npt.NDArray[np.uint32]
    flips: npt.NDArray[np.uint32]


@lru_cache(maxsize=8)
def entries_of(width: int) -> Entries:
    """The entries of signatures of one width. Fixed for ever: signatures of different runs must be comparable."""
    low_bits = 32 - (width - 1).bit_length()
    drawn = Seed(0).child("minhash").generator().integers(0, 2**32, size=width, dtype=np.uint32)
    steps = np.arange(width, dtype=np.uint64) << np.uint64(low_bits)
    flips = drawn & np.uint32((1 << low_bits) - 1)
    entries = Entries(steps.astype(np.uint32), flips)
    entries.steps.flags.writeable = entries.flips.flags.writeable = False
    return entries


def signatures(words: Words, permutations: int = 112, *, shingle_words: int = 5) -> npt.NDArray[np.uint32]:
    """Signatures of a batch, texts x permutations. A text shorter than a shingle is one shingle."""
    drawn = np.full((len(words.first) - 1, permutations), NO_WORDS, dtype=np.uint32)
    _fill((words.hashes, words.is_word, words.first), shingle_words, entries_of(permutations), drawn)
    return drawn


def similarity(left: npt.NDArray[np.uint32], right: npt.NDArray[np.uint32]) -> npt.NDArray[np.float64]:
    """Estimated Jaccard similarity of each pair of rows. Standard error is at most sqrt(J (1 - J) / permutations)."""
    return np.asarray((left == right).mean(axis=1), dtype=np.float64)


@kernel()
def _fill(words, width, entries, drawn):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    hashes, is_word, first = words
    longest = 1
    for d in range(len(first) - 1):
        longest = max(longest, first[d + 1] - first[d])
    own = np.empty(longest + 1, np.uint64)
    codes = np.empty(_BLOCK, np.uint64), np.empty(_BLOCK, np.uint32), np.empty(_BLOCK, np.uint32)
    for d in range(len(first) - 1):
        n = _gather(hashes, is_word, first[d], first[d + 1], own)
        own_width = min(width, n)
        shingles = n - own_width + 1 if n else 0
        for i in range(0, shingles, _BLOCK):
            filled = _hash_block(own[i:], min(_BLOCK, shingles - i), own_width, codes)
            _lower(codes, filled, entries, drawn[d])


@kernel()
def _gather(hashes, is_word, begin, end, own):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Copy the hashes of words, without punctuation and without a branch; returns how many there are."""
    n = 0
    for i in range(begin, end):
        own[n] = hashes[i]
        n += is_word[i]
    return n


@kernel()
def _hash_block(own, count, width, codes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Hash the first `count` shingles of `own`, padded with copies of the first to whole lanes; returns the number."""
    sums, factors, terms = codes
    for k in range(count):
        sums[k] = own[k]
    for j in range(1, width):
        for k in range(count):
            sums[k] = sums[k] * _SHINGLE_BASE + own[j + k]
    for k in range(count):
        code = (sums[k] ^ sums[k] >> _HALF) * _MIX
        code = (code ^ code >> _HALF) * _MIX_AGAIN
        factors[k] = _UINT32(code ^ code >> _HALF) | _ODD
        terms[k] = _UINT32(code >> _HALF)
    while count % _LANE:
        factors[count], terms[count] = factors[0], terms[0]
        count += 1
    return count


@kernel()
def _lower(codes, count, entries, row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Take `count` shingles (a multiple of _LANE) into the minima of a row."""
    _, factors, terms = codes
    steps, flips = entries
    for i in range(0, count, _LANE):
        f0, f1, f2, f3 = factors[i], factors[i + 1], factors[i + 2], factors[i + 3]
        t0, t1, t2, t3 = terms[i], terms[i + 1], terms[i + 2], terms[i + 3]
        for p in range(len(row)):
            step, flip = steps[p], flips[p]
            low = min(_UINT32(f0 * step + t0) ^ flip, _UINT32(f1 * step + t1) ^ flip)
            low = min(low, _UINT32(f2 * step + t2) ^ flip, _UINT32(f3 * step + t3) ^ flip)
            row[p] = min(row[p], low)
