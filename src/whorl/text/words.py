"""text/words: split a batch of texts into words, punctuation and lines in one compiled pass over UTF-8.

The same pass counts what page-quality rules need, so no filter reads the text again. Defined by text/reference. Does not keep
the words themselves: a word is its place and a 64-bit hash of its lower case. Memory: about 25 bytes per word.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from whorl.text.characters import (
    APOSTROPHE,
    BULLET_BIT,
    CLASS_MASK,
    FORMAT,
    IDEOGRAPH,
    LETTER,
    MARK,
    NEWLINE,
    NUMBER,
    OTHER,
    SPACE,
    CharacterTables,
    character_tables,
)
from whorl.text.columns import TextBuffers

__all__ = ["COUNTS", "Words", "split", "word_hash"]

# Columns of the counts, one row per text; text/reference says exactly what each one counts.
COUNTS = (
    "num_chars",
    "num_tokens",
    "num_words",
    "num_word_chars",
    "num_alphabetic_words",
    "num_lines",
    "num_bullet_lines",
    "num_ellipsis_lines",
    "num_hashes",
    "num_ellipses",
)
_CHARS, _TOKENS, _WORDS, _WORD_CHARS, _ALPHABETIC, _LINES, _BULLETS, _ELLIPSIS_LINES, _HASHES, _ELLIPSES = range(len(COUNTS))

_NONE, _WORD, _IDEOGRAPH, _PUNCTUATION = range(4)  # what the scanner is inside of
_KIND = 3
_NEW = 4  # a move that begins a token
_IS_ALPHABETIC = 4  # beside the kind of a finished token

_DOTS, _TAIL, _IS_OPEN, _IS_BLANK, _AFTER_CR = range(5)  # state of the current line
_LF, _CR, _DOT, _HASH, _ELLIPSIS = 10, 13, 46, 35, 0x2026

_FNV_START = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)


class _TokenArrays(NamedTuple):
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]
    kinds: npt.NDArray[np.uint8]


class Words(NamedTuple):
    """Words and punctuation of a batch, text after text: text i holds tokens `first[i]` to `first[i + 1]`."""

    first: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]  # bytes, in the batch's data
    ends: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]  # of the lower case, format characters left out
    is_word: npt.NDArray[np.bool_]  # False: punctuation
    counts: npt.NDArray[np.int64]  # texts x COUNTS

    def only_words(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
        """Hashes of the words without punctuation, and where each text's words begin (one more than texts)."""
        before = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(self.is_word, dtype=np.int64)])
        return self.hashes[self.is_word], before[self.first]


def split(texts: TextBuffers) -> Words:
    """Every word and run of punctuation in a batch, with the counts of each text."""
    data, offsets = texts
    room = int(offsets[-1] - offsets[0])  # no text has more tokens than bytes; untouched pages cost nothing
    tokens = _TokenArrays(
        np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.uint64), np.empty(room, np.uint8)
    )
    counts = np.zeros((len(offsets) - 1, len(COUNTS)), dtype=np.int64)
    num_tokens = _scan(data, offsets, character_tables(), _MOVES, (tokens, counts))
    first = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts[:, _TOKENS])])
    kinds = tokens.kinds[:num_tokens]
    starts, ends, hashes = tokens.starts[:num_tokens], tokens.ends[:num_tokens], tokens.hashes[:num_tokens]
    return Words(first, starts, ends, hashes, (kinds & _KIND) != _PUNCTUATION, counts)


def word_hash(word: str) -> int:
    """The hash a single word has in `Words.hashes`, e.g. of a stop word. The word must not contain spaces."""
    letters = np.frombuffer(word.encode(), dtype=np.uint8)
    found = split(TextBuffers(letters, _read_only(np.array([0, len(letters)], dtype=np.int64))))
    assert len(found.hashes) == 1, f"{word!r} is {len(found.hashes)} words"
    return int(found.hashes[0])


def _read_only(array: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    array.flags.writeable = False
    return array


def _moves() -> npt.NDArray[np.uint8]:
    """Where each character class takes the scanner from inside each kind of token."""
    moves = np.full((4, 16), _NONE, dtype=np.uint8)
    for kind in (_NONE, _WORD, _IDEOGRAPH, _PUNCTUATION):
        moves[kind, [LETTER, NUMBER]] = _WORD if kind == _WORD else _WORD | _NEW
        moves[kind, MARK] = _WORD | _NEW if kind == _NONE else kind
        moves[kind, FORMAT] = kind
        moves[kind, IDEOGRAPH] = _IDEOGRAPH | _NEW
        moves[kind, [OTHER, APOSTROPHE]] = _PUNCTUATION if kind == _PUNCTUATION else _PUNCTUATION | _NEW
        moves[kind, [SPACE, NEWLINE]] = _NONE
    moves.flags.writeable = False
    return moves


_MOVES = _moves()


@njit(cache=True, nogil=True)
def _decode(data, i):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Code point at byte i and the number of bytes it takes; the text is known to be valid UTF-8."""
    lead = np.int64(data[i])
    if lead < 0x80:
        return lead, 1
    if lead < 0xE0:
        return (lead & 0x1F) << 6 | data[i + 1] & 0x3F, 2
    if lead < 0xF0:
        return (lead & 0x0F) << 12 | (data[i + 1] & 0x3F) << 6 | data[i + 2] & 0x3F, 3
    return (lead & 7) << 18 | (data[i + 1] & 0x3F) << 12 | (data[i + 2] & 0x3F) << 6 | data[i + 3] & 0x3F, 4


@njit(cache=True, nogil=True)
def _see_line(line, point, flags, row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Advance the state of the current line by one character, counting into the text's row."""
    kind = flags & CLASS_MASK
    if kind == NEWLINE:
        if point != _LF or not line[_AFTER_CR]:
            _end_line(line, row)
        line[_AFTER_CR] = point == _CR
        return
    line[_AFTER_CR] = 0
    line[_IS_OPEN] = 1
    if kind == SPACE:
        line[_DOTS] = 0
        return
    row[_BULLETS] += line[_IS_BLANK] and flags & BULLET_BIT != 0
    line[_IS_BLANK] = 0
    line[_DOTS] = line[_DOTS] + 1 if point == _DOT else 0
    is_ellipsis = point == _ELLIPSIS
    line[_TAIL] = 3 if is_ellipsis else line[_DOTS]
    row[_ELLIPSES] += is_ellipsis or (line[_DOTS] > 0 and line[_DOTS] % 3 == 0)
    row[_HASHES] += point == _HASH


@njit(cache=True, nogil=True)
def _end_line(line, row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    row[_LINES] += 1
    row[_ELLIPSIS_LINES] += line[_TAIL] >= 3
    line[:] = 0
    line[_IS_BLANK] = 1


@njit(cache=True, nogil=True)
def _joins(data, i, end, classes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Whether the character at byte i continues a word after an apostrophe."""
    if i >= end:
        return False
    point, _ = _decode(data, i)
    kind = classes[point] & CLASS_MASK
    return kind in (LETTER, NUMBER, MARK)


@njit(cache=True, nogil=True)
def _end_token(tokens, n, code, row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Finish token n, whose start, end and kind are written: its hash, and its share of the text's counts."""
    code ^= code >> _HALF
    code *= _MIX
    tokens.hashes[n] = code ^ code >> _HALF
    row[_TOKENS] += 1
    if tokens.kinds[n] & _KIND != _PUNCTUATION:
        row[_WORDS] += 1
        row[_ALPHABETIC] += tokens.kinds[n] >= _IS_ALPHABETIC


@njit(cache=True, nogil=True)
def _scan(data, offsets, tables: CharacterTables, moves, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Fill tokens and counts; returns how many tokens there are."""
    tokens, counts = out
    line = np.zeros(5, dtype=np.int64)
    n = 0
    for d in range(len(offsets) - 1):
        line[:] = 0
        line[_IS_BLANK] = 1
        n = _scan_text(data, (offsets[d], offsets[d + 1]), tables, moves, (tokens, counts[d], line), n)
        if line[_IS_OPEN]:
            _end_line(line, counts[d])
    return n


@njit(cache=True, nogil=True)
def _scan_text(data, span, tables, moves, out, n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """One text, whose tokens begin at number n; returns the number after its last."""
    tokens, row, line = out
    i, end = span
    kind, code = np.int64(_NONE), _FNV_START
    while i < end:
        point, width = _decode(data, i)
        flags = tables.classes[point]
        row[_CHARS] += 1
        _see_line(line, point, flags, row)
        klass = flags & CLASS_MASK
        if klass == APOSTROPHE and kind == _WORD and _joins(data, i + width, end, tables.classes):
            klass = MARK
        move = np.int64(moves[kind, klass])
        if kind != _NONE and (move == _NONE or move >= _NEW):
            _end_token(tokens, n, code, row)
            n += 1
        kind = move & _KIND
        if move >= _NEW:
            code = _FNV_START
            tokens.starts[n] = i
            tokens.kinds[n] = kind
        i += width
        if kind != _NONE:
            tokens.ends[n] = i
            row[_WORD_CHARS] += kind != _PUNCTUATION
            tokens.kinds[n] |= _IS_ALPHABETIC * (klass in (LETTER, IDEOGRAPH))
            if klass != FORMAT:
                code = (code ^ np.uint64(tables.lower[point])) * _FNV_PRIME
    if kind != _NONE:
        _end_token(tokens, n, code, row)
        n += 1
    return n
