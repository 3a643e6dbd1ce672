"""text/ngrams: which word n-grams of one text collection occur in another, and how long the longest shared one is.

N-grams are compared by a 64-bit polynomial hash of their words, so case and spacing do not count; punctuation is left out.
Exact up to hash collisions. Memory: about 40 bytes per word.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from whorl.text.words import Words

__all__ = ["NgramIndex", "WordStream"]

_BASE = 0x9E3779B97F4A7C15  # odd, so that it can be inverted modulo 2^64
_INVERSE = pow(_BASE, -1, 1 << 64)
_FIRST_PROBE = 8  # shorter n-grams are shared by almost any two collections


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

    def ngrams(self, n: int, places: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.uint64]:
        """Hashes of the n-grams that begin at `places` (all of them by default)."""
        at = self.places(n) if places is None else places
        return (self._sums[at + n] - self._sums[at]) * self._unshift[at]


@dataclass(frozen=True)
class NgramIndex:
    """The n-grams of one collection, sorted, for each n that was asked for."""

    stream: WordStream
    _sorted: dict[int, npt.NDArray[np.uint64]] = field(default_factory=dict)

    def of(self, n: int) -> npt.NDArray[np.uint64]:
        """Different n-grams, ascending."""
        if n not in self._sorted:
            self._sorted[n] = np.unique(self.stream.ngrams(n))
        return self._sorted[n]

    def found_in(self, other: WordStream, n: int) -> npt.NDArray[np.bool_]:
        """For each entry of `of(n)`, whether it occurs in the other collection."""
        known = self.of(n)
        found = np.zeros(len(known), dtype=np.bool_)
        codes = other.ngrams(n)
        place, is_known = _look_up(known, codes)
        found[place[is_known]] = True
        return found

    def longest_shared(self, other: WordStream, *, at_least: int = 0) -> int:
        """Words in the longest n-gram both hold, or `at_least` when nothing longer is shared."""
        low, high = at_least, max(_FIRST_PROBE, at_least + 1)
        places = self._shared_places(other, high, other.places(high))
        while len(places):
            low, high = high, 2 * high
            found = self._shared_places(other, high, places)
            if not len(found):
                break
            places = found
        while high - low > 1:  # a shared n-gram contains a shared (n-1)-gram, so sharing is monotone in n
            middle = (low + high) // 2
            is_shared = len(self._shared_places(other, middle, other.places(middle) if not len(places) else places)) > 0
            low, high = (middle, high) if is_shared else (low, middle)
        return low

    def _shared_places(self, other: WordStream, n: int, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Those of the places where an n-gram begins that this collection holds too."""
        inside = places[other._room[places] >= n]
        _, is_known = _look_up(self.of(n), other.ngrams(n, inside))
        return inside[is_known]


def _look_up(
    known: npt.NDArray[np.uint64], codes: npt.NDArray[np.uint64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Where each code would be among the sorted known ones, and whether it is there."""
    if not len(known):
        return np.zeros(len(codes), dtype=np.int64), np.zeros(len(codes), dtype=np.bool_)
    place = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    return place, known[place] == codes


def _powers(base: int, count: int) -> npt.NDArray[np.uint64]:
    """base^0 ... base^(count - 1) modulo 2^64."""
    factors = np.full(count, base, dtype=np.uint64)
    factors[:1] = 1
    return np.cumprod(factors, dtype=np.uint64)
