"""text/segments: the lines or paragraphs of a batch of texts, each with a hash of its words and punctuation.

Two segments with equal hashes say the same but for case and spacing. A line ends at a newline; a paragraph at a line without
anything but white space. White space here is ASCII's: bring exotic spaces and line ends to one spelling first.
"""

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from whorl.core.kernels import kernel
from whorl.text.columns import TextBuffers
from whorl.text.words import Words

__all__ = ["SegmentKind", "Segments", "segments"]

SegmentKind = Literal["line", "paragraph"]

_LF, _SPACE = 10, 32
_TAB, _CR = 9, 13
_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)


class Segments(NamedTuple):
    """Segments of a batch in order; blank ones are not listed. Offsets are bytes in the batch's data."""

    texts: npt.NDArray[np.int64]  # number of the text it is in
    starts: npt.NDArray[np.int64]  # its first visible byte
    ends: npt.NDArray[np.int64]  # after its last visible byte
    cut_starts: npt.NDArray[np.int64]  # where its first line begins: taking cut_starts to cut_ends out leaves whole lines
    cut_ends: npt.NDArray[np.int64]  # where the line of the next segment begins, or the text ends
    num_chars: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]


def segments(texts: TextBuffers, words: Words, kind: SegmentKind) -> Segments:
    """Every segment of a batch. `words` are those of the same texts."""
    data, offsets = texts
    is_paragraph = kind == "paragraph"
    room = _count_segments(data, offsets, is_paragraph)
    places = [np.empty(room, np.int64) for _ in range(6)]
    found = Segments(places[0], places[1], places[2], places[3], places[4], places[5], np.empty(room, np.uint64))
    _place(data, offsets, is_paragraph, found)
    _hash(found, words.first, words.starts, words.hashes)
    return found


@kernel()
def _is_blank(byte):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    return byte == _SPACE or (_TAB <= byte <= _CR)


@kernel()
def _next_segment(data, i, end, is_paragraph):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """First visible byte at or after i, and the place after the last one of the segment that begins there."""
    while i < end and _is_blank(data[i]):
        i += 1
    start, last = i, i
    newlines = 0
    while i < end:
        if data[i] == _LF:
            newlines += 1
            if newlines > is_paragraph:
                break
        elif not _is_blank(data[i]):
            newlines = 0
            last = i + 1
        i += 1
    return start, last


@kernel()
def _count_segments(data, offsets, is_paragraph):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    count = 0
    for d in range(len(offsets) - 1):
        start, last = _next_segment(data, offsets[d], offsets[d + 1], is_paragraph)
        while last > start:
            count += 1
            start, last = _next_segment(data, last, offsets[d + 1], is_paragraph)
    return count


@kernel()
def _place(data, offsets, is_paragraph, found):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    n = 0
    for d in range(len(offsets) - 1):
        end = offsets[d + 1]
        start, last = _next_segment(data, offsets[d], end, is_paragraph)
        while last > start:
            found.texts[n], found.starts[n], found.ends[n] = d, start, last
            found.cut_starts[n] = _line_begin(data, start, offsets[d])
            found.num_chars[n] = _num_chars(data, start, last)
            start, last = _next_segment(data, last, end, is_paragraph)
            found.cut_ends[n] = _line_begin(data, start, found.ends[n]) if last > start else end
            n += 1


@kernel()
def _line_begin(data, i, at_least):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    while i > at_least and data[i - 1] != _LF:
        i -= 1
    return i


@kernel()
def _num_chars(data, start, end):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    count = 0
    for i in range(start, end):
        count += data[i] & 0xC0 != 0x80  # a byte that does not continue a character
    return count


@kernel()
def _hash(found, first, word_starts, word_hashes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Fold the tokens of every segment into its hash; tokens and segments are both in order."""
    token = 0
    for n in range(len(found.texts)):
        token = max(token, first[found.texts[n]])
        end = first[found.texts[n] + 1]
        code = _MIX
        while token < end and word_starts[token] < found.ends[n]:
            code = code * _BASE + word_hashes[token]
            token += 1
        code = (code ^ code >> _HALF) * _MIX
        found.hashes[n] = code ^ code >> _HALF
