"""text/hashed: a text as hashed n-grams of words and characters: sparse rows of unit length for a linear model.

An n-gram's place is the upper bits of its hash; n-grams that meet there are one feature (https://arxiv.org/abs/0902.2206, but
without signs). Its value is log(1 + count), divided by the row's length. Case does not count in word n-grams; in character
n-grams it counts outside ASCII. Keeps no vocabulary.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from whorl.core.config import Config
from whorl.core.kernels import kernel
from whorl.text.batch import TextBatch

__all__ = ["Features", "Rows", "hashed_rows", "margins"]

_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)
_EIGHT = np.uint64(8)
_CHARS_SALT = 255  # where a word n-gram has its length


class Features(Config):
    """Which n-grams are looked at."""

    words: int = Field(2, ge=0, le=5)  # word n-grams up to this length; punctuation counts as words
    chars: int = Field(0, ge=0, le=8)  # character n-grams of exactly this length; 0: none
    bits: int = Field(20, ge=8, le=24)  # 2^bits places


class Rows(NamedTuple):
    """Sparse rows: text i has value `values[j]` in place `places[j]` for j from `first[i]` to `first[i + 1]`."""

    first: npt.NDArray[np.int64]  # one more than texts
    places: npt.NDArray[np.uint32]
    values: npt.NDArray[np.float32]

    @classmethod
    def join(cls, parts: "list[Rows]") -> "Rows":
        """Several sets of rows as one."""
        starts = np.cumsum([0, *(len(part.places) for part in parts)])
        first = [part.first[:-1] + start for part, start in zip(parts, starts[:-1], strict=True)]
        places = [np.zeros(0, np.uint32), *(part.places for part in parts)]
        values = [np.zeros(0, np.float32), *(part.values for part in parts)]
        return cls(np.concatenate([*first, starts[-1:]]), np.concatenate(places), np.concatenate(values))


class _Inside(NamedTuple):
    """What n-grams are made of: words and bytes of a batch, and where each text's begin."""

    hashes: npt.NDArray[np.uint64]
    first: npt.NDArray[np.int64]
    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]


class _Shape(NamedTuple):
    words: int
    chars: int
    shift: np.uint64  # from a hash to its upper bits


class _Scratch(NamedTuple):
    counts: npt.NDArray[np.uint32]  # by place; zero between texts
    touched: npt.NDArray[np.uint32]  # places of the current text, in order of first occurrence
    values: npt.NDArray[np.float32]


def hashed_rows(batch: TextBatch, features: Features) -> Rows:
    """The rows of a batch. A text without a single n-gram has an empty row."""
    inside, shape, scratch = _prepared(batch, features)
    room = int(_num_ngrams(batch, features).sum())
    rows = Rows(np.zeros(len(batch) + 1, np.int64), np.empty(room, np.uint32), np.empty(room, np.float32))
    size = _fill_rows(inside, shape, scratch, rows)
    return Rows(rows.first, rows.places[:size].copy(), rows.values[:size].copy())


def margins(batch: TextBatch, features: Features, weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The product of every text's row with the weights (2^bits of them), without making the rows."""
    assert len(weights) == 1 << features.bits, f"{len(weights)} weights for 2^{features.bits} places"
    inside, shape, scratch = _prepared(batch, features)
    found = np.zeros(len(batch), np.float64)
    _fill_margins(inside, shape, scratch, weights, found)
    return found


def _num_ngrams(batch: TextBatch, features: Features) -> npt.NDArray[np.int64]:
    """At most so many n-grams are in each text."""
    in_words = np.diff(batch.words.first) * np.int64(features.words)
    return in_words + batch.num_bytes if features.chars else in_words


def _prepared(batch: TextBatch, features: Features) -> tuple[_Inside, _Shape, _Scratch]:
    most = int(_num_ngrams(batch, features).max(initial=0))
    scratch = _Scratch(np.zeros(1 << features.bits, np.uint32), np.empty(most, np.uint32), np.empty(most, np.float32))
    inside = _Inside(batch.words.hashes, batch.words.first, *batch.buffers)
    return inside, _Shape(features.words, features.chars, np.uint64(64 - features.bits)), scratch


@kernel()
def _count(code, salt, shift, scratch, n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Count one n-gram; returns how many different places the text has touched, n before."""
    code = (code + np.uint64(salt)) * _MIX
    place = ((code ^ code >> _HALF) * _BASE) >> shift
    if scratch.counts[place] == 0:
        scratch.touched[n] = place
        n += 1
    scratch.counts[place] += np.uint32(1)
    return n


@kernel()
def _count_words(hashes, width, shift, scratch, n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    for i in range(len(hashes)):
        code = np.uint64(0)
        for j in range(i, min(i + width, len(hashes))):
            code = code * _BASE + hashes[j]
            n = _count(code, j - i + 1, shift, scratch, n)
    return n


@kernel()
def _count_chars(data, width, shift, scratch, n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Character n-grams of one text, ASCII letters in lower case. A character is the bytes up to the next leading byte."""
    window = np.zeros(width, np.uint64)
    num_chars = 0
    i = 0
    while i < len(data):
        character = np.uint64(data[i])
        if np.uint64(65) <= character <= np.uint64(90):
            character += np.uint64(32)
        i += 1
        while i < len(data) and data[i] & 0xC0 == 0x80:
            character = character << _EIGHT | np.uint64(data[i])
            i += 1
        window[num_chars % width] = character
        num_chars += 1
        if num_chars >= width:
            code = np.uint64(0)
            for k in range(num_chars, num_chars + width):
                code = code * _BASE + window[k % width]
            n = _count(code, _CHARS_SALT, shift, scratch, n)
    return n


@kernel()
def _fill_row(inside, d, shape, scratch):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Touch and weigh every place of text d; returns how many there are. The counts are zero again."""
    n = 0
    if shape.words:
        n = _count_words(inside.hashes[inside.first[d] : inside.first[d + 1]], shape.words, shape.shift, scratch, n)
    if shape.chars:
        n = _count_chars(inside.data[inside.offsets[d] : inside.offsets[d + 1]], shape.chars, shape.shift, scratch, n)
    total = 0.0
    for i in range(n):
        value = np.log1p(np.float64(scratch.counts[scratch.touched[i]]))
        scratch.counts[scratch.touched[i]] = 0
        scratch.values[i] = value
        total += value * value
    if n:
        scratch.values[:n] *= np.float32(1 / np.sqrt(total))
    return n


@kernel()
def _fill_rows(inside, shape, scratch, rows):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    end = 0
    for d in range(len(rows.first) - 1):
        n = _fill_row(inside, d, shape, scratch)
        rows.places[end : end + n] = scratch.touched[:n]
        rows.values[end : end + n] = scratch.values[:n]
        end += n
        rows.first[d + 1] = end
    return end


@kernel()
def _fill_margins(inside, shape, scratch, weights, found):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    for d in range(len(found)):
        total = 0.0
        for i in range(_fill_row(inside, d, shape, scratch)):
            total += np.float64(scratch.values[i]) * np.float64(weights[scratch.touched[i]])
        found[d] = total
