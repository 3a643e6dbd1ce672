"""text/ngrams: which word n-grams of one text collection occur in another, where, and how long the longest shared one is.

N-grams are compared by a 64-bit polynomial hash of their words, so case and spacing do not count; punctuation is left out.
Exact up to hash collisions. Memory: about 40 bytes per word.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from whorl.core.kernels import kernel
from whorl.text.words import Words

__all__ = ["Found", "SharedPlaces", "WordStream", "find_ngrams", "longest_shared"]

_BASE = 0x9E3779B97F4A7C15  # odd, so that it can be inverted modulo 2^64
_INVERSE = pow(_BASE, -1, 1 << 64)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_ONE, _BIT_MASK, _WORD_SHIFT = np.uint64(1), np.uint64(63), np.uint64(6)
_BITS_PER_NGRAM = 16  # of the filter: one look-up in sixteen that finds nothing is searched for in vain


class Found(NamedTuple):
    """Where known n-grams begin in a stream."""

    places: npt.NDArray[np.int64]  # number of the first word, ascending
    entries: npt.NDArray[np.int64]  # number among the known ones


def find_ngrams(stream: "WordStream", n: int, known: npt.NDArray[np.uint64]) -> Found:
    """Every occurrence of known n-grams. `known` are hashes as `WordStream.ngrams` gives them, ascending and different.

    One pass, about one memory access per word: a bit filter answers for nearly all n-grams that are not known.
    """
    if not len(known):
        return Found(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    bits = max(16, (len(known) * _BITS_PER_NGRAM - 1).bit_length())
    shift = np.uint64(64 - bits)
    may_hold = np.zeros(2**bits // 64, dtype=np.uint64)
    _mark(known, may_hold, shift)
    room = len(stream.hashes)  # untouched pages cost nothing
    places, entries = np.empty(room, np.int64), np.empty(room, np.int64)
    top = np.uint64(pow(_BASE, n - 1, 1 << 64))
    count = _find((stream.hashes, stream.first), (n, top, np.uint64(_INVERSE)), known, (may_hold, shift), (places, entries))
    return Found(places[:count].copy(), entries[:count].copy())


@dataclass(frozen=True)
class WordStream:
    """Words of several texts end to end: text i is words `first[i]` to `first[i + 1]`."""

    hashes: npt.NDArray[np.uint64]
    first: npt.NDArray[np.int64]

    @classmethod
    def of(cls, words: Words) -> "WordStream":
        """The words of a batch without punctuation."""
        return cls(*words.only_words())

    @classmethod
    def join(cls, streams: Sequence["WordStream"]) -> "WordStream":
        """Several streams as one."""
        starts = np.cumsum([0, *(len(s.hashes) for s in streams)])
        first = [s.first[:-1] + start for s, start in zip(streams, starts[:-1], strict=True)]
        hashes = [np.zeros(0, dtype=np.uint64), *(s.hashes for s in streams)]
        return cls(np.concatenate(hashes), np.concatenate([*first, starts[-1:]]).astype(np.int64))

    @cached_property
    def _sums(self) -> npt.NDArray[np.uint64]:
        """Polynomial hash of the words before each place, modulo 2^64."""
        terms = self.hashes * _powers(_BASE, len(self.hashes))
        return np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(terms, dtype=np.uint64)])

    @cached_property
    def _unshift(self) -> npt.NDArray[np.uint64]:
        return _powers(_INVERSE, len(self.hashes))

    @cached_property
    def _room(self) -> npt.NDArray[np.int64]:
        """Words from each place to the end of its text."""
        return np.repeat(self.first[1:], np.diff(self.first)) - np.arange(len(self.hashes))

    def places(self, n: int) -> npt.NDArray[np.int64]:
        """Where n-grams begin: every word with n - 1 more after it in its text."""
        return np.flatnonzero(self._room >= n)

    def with_room(self, places: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
        """Those of the places where an n-gram begins."""
        return places[self._room[places] >= n]

    def ngrams(self, n: int, places: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.uint64]:
        """Hashes of the n-grams that begin at `places` (all of them by default)."""
        at = self.places(n) if places is None else places
        return (self._sums[at + n] - self._sums[at]) * self._unshift[at]


class SharedPlaces(NamedTuple):
    """Where n-grams begin that two streams share; a superset will do."""

    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]


def longest_shared(left: WordStream, right: WordStream, places: SharedPlaces, *, at_least: int) -> int:
    """Words in the longest n-gram both hold, given where those of `at_least` words begin; `at_least` also when none do."""
    low, high = at_least, 2 * at_least
    while len((longer := _still_shared(left, right, places, high)).left):
        low, high, places = high, 2 * high, longer
    while high - low > 1:  # a shared n-gram contains a shared (n-1)-gram, so sharing is monotone in n
        middle = (low + high) // 2
        kept = _still_shared(left, right, places, middle)
        low, high, places = (middle, high, kept) if len(kept.left) else (low, middle, places)
    return low


def _still_shared(left: WordStream, right: WordStream, places: SharedPlaces, n: int) -> SharedPlaces:
    """Those of the places where an n-gram begins that the other stream holds at one of its places."""
    own, other = left.with_room(places.left, n), right.with_room(places.right, n)
    codes, other_codes = left.ngrams(n, own), right.ngrams(n, other)
    return SharedPlaces(own[np.isin(codes, other_codes)], other[np.isin(other_codes, codes)])


def _powers(base: int, count: int) -> npt.NDArray[np.uint64]:
    """base^0 ... base^(count - 1) modulo 2^64."""
    factors = np.full(count, base, dtype=np.uint64)
    factors[:1] = 1
    return np.cumprod(factors, dtype=np.uint64)


@kernel()
def _mark(known, may_hold, shift):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    for i in range(len(known)):
        bit = (known[i] * _MIX) >> shift
        may_hold[bit >> _WORD_SHIFT] |= _ONE << (bit & _BIT_MASK)


@kernel()
def _find(stream, power, known, sieve, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    hashes, first = stream
    n, top, inverse = power
    may_hold, shift = sieve
    places, entries = out
    count = 0
    for d in range(len(first) - 1):
        begin, end = first[d], first[d + 1]
        code, factor = np.uint64(0), _ONE
        for i in range(begin, end):
            if i >= begin + n:
                code = (code - hashes[i - n]) * inverse
                code += hashes[i] * top
            else:
                code += hashes[i] * factor
                factor *= np.uint64(_BASE)
            bit = (code * _MIX) >> shift
            if i - begin < n - 1 or not may_hold[bit >> _WORD_SHIFT] >> (bit & _BIT_MASK) & _ONE:
                continue
            entry = np.searchsorted(known, code)
            if entry < len(known) and known[entry] == code:
                places[count], entries[count] = i - n + 1, entry
                count += 1
    return count
