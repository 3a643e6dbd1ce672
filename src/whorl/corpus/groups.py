"""corpus/groups: sets closed under links, who represents each, and the part it belongs to.

A group's part follows from the smallest hash among its keys and from nothing else, so adding documents under known keys
moves nothing; an earlier corpus can pin the parts of keys it knew. Does not look at texts.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from whorl.core.config import PARTS

__all__ = ["KnownParts", "Standing", "components", "draw_parts", "representatives"]

NOT_KNOWN = -1
_SALT = np.uint64(0x70617274)  # "part": the draw must not be the hash that was minimised over


def components(count: int, links: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each of `count` things, the smallest number of anything it is linked to, directly or through others."""
    labels = np.arange(count)
    while True:
        left, right = labels[links[:, 0]], labels[links[:, 1]]
        lower = np.minimum(left, right)
        joined = labels.copy()
        np.minimum.at(joined, left, lower)
        np.minimum.at(joined, right, lower)
        while (joined[joined] != joined).any():
            joined = joined[joined]
        if (joined == labels).all():
            return labels
        labels = joined


class Standing(NamedTuple):
    """For each thing, the first and the second of its component; one that stands alone is both."""

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]


def representatives(
    labels: npt.NDArray[np.int64], ranked: Sequence[npt.NDArray[Any]], keys: npt.NDArray[np.uint64]
) -> Standing:
    """Who stands for each component: the highest by the first of the rankings, equals by the next, then by the smallest key."""
    order = np.lexsort((keys, *(-ranks for ranks in reversed(ranked)), labels))
    own = labels[order]
    is_first = np.ones(len(order), dtype=np.bool_)
    is_first[1:] = own[1:] != own[:-1]
    is_second = np.zeros(len(order), dtype=np.bool_)
    is_second[1:] = is_first[:-1] & ~is_first[1:]
    best, next_best = np.zeros(len(labels), dtype=np.int64), np.zeros(len(labels), dtype=np.int64)
    best[own[is_first]] = next_best[own[is_first]] = order[is_first]
    next_best[own[is_second]] = order[is_second]
    return Standing(best[labels], next_best[labels])


class KnownParts(NamedTuple):
    """Keys of an earlier corpus, ascending, and the index in PARTS each one had."""

    keys: npt.NDArray[np.uint64]
    parts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, keys: npt.NDArray[np.uint64], parts: npt.NDArray[np.int64]) -> "KnownParts":
        """One entry per key; the strictest of its parts wins."""
        known, place = np.unique(keys, return_inverse=True)
        strictest = np.full(len(known), NOT_KNOWN, dtype=np.int64)
        np.maximum.at(strictest, place, parts)
        return cls(known, strictest)

    def look_up(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """The part of each key, or NOT_KNOWN."""
        if not len(self.keys):
            return np.full(len(keys), NOT_KNOWN, dtype=np.int64)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, self.parts[place], NOT_KNOWN)


def draw_parts(
    labels: npt.NDArray[np.int64], keys: npt.NDArray[np.uint64], shares: tuple[float, ...], known: KnownParts
) -> npt.NDArray[np.int64]:
    """Index in PARTS of each thing. `keys` are hashes of group keys; `shares` are fractions of groups, in the order of PARTS.

    A component with known keys takes the strictest of their parts (PARTS run from lax to strict); another one is drawn.
    """
    smallest = np.full(len(labels), np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(smallest, labels, keys)
    pinned = np.full(len(labels), NOT_KNOWN, dtype=np.int64)
    np.maximum.at(pinned, labels, known.look_up(keys))
    # Strict parts sit at the bottom of the unit interval: enlarging train never moves a document into an exam.
    edges = np.cumsum(shares[::-1])[:-1]
    drawn = len(PARTS) - 1 - np.searchsorted(edges, _uniform(smallest), side="right")
    return np.where(pinned != NOT_KNOWN, pinned, drawn)[labels]


def _uniform(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """A number in [0, 1) from each key (splitmix64)."""
    code = keys ^ _SALT
    code = (code ^ (code >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    code = (code ^ (code >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    code ^= code >> np.uint64(31)
    return (code >> np.uint64(11)).astype(np.float64) / 2.0**53
