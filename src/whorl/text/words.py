"""text/words: split a batch of texts into words and punctuation in one compiled pass over UTF-8.

The same pass counts what page-quality rules need of words, so no filter reads the text again; lines are text/lines. Defined by
text/reference. Does not keep the words themselves: a word is its place and a 64-bit hash of its lower case. Memory: 29 bytes
per word.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from whorl.core.kernels import ARRAYS_GIVEN, kernel
from whorl.text.characters import (
    APOSTROPHE,
    BLANK,
    CLASS_MASK,
    FORMAT,
    IDEOGRAPH,
    JOINS_NUMBERS_BIT,
    JOINS_WORDS_BIT,
    LETTER,
    MARK,
    MAY_JOIN,
    NEWLINE,
    NUMBER,
    OTHER,
    RULE,
    SPACE,
    CharacterTables,
    character_tables,
)
from whorl.text.columns import TextBuffers
from whorl.text.utf8 import before, decode

__all__ = ["COUNTS", "Words", "split", "word_hash"]

# Columns of the counts, one row per text; text/reference says exactly what each one counts.
COUNTS = (
    "num_chars",
    "num_tokens",
    "num_words",
    "num_word_chars",
    "num_alphabetic_words",
    "num_hashes",
    "num_ellipses",
)
_CHARS, _TOKENS, _WORDS, _WORD_CHARS, _ALPHABETIC, _HASHES, _ELLIPSES = range(len(COUNTS))

_NONE, _WORD, _IDEOGRAPH, _PUNCTUATION, _RULE = range(5)  # what the scanner is inside of
_KIND = 7
_NEW = 8  # a move that begins a token
_JOINS = JOINS_WORDS_BIT | JOINS_NUMBERS_BIT
_DOT, _HASH, _ELLIPSIS, _LETTER_A = 46, 35, 0x2026, 97

_FNV_START = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)


class _TokenArrays(NamedTuple):
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]
    chars: npt.NDArray[np.uint32]
    is_word: npt.NDArray[np.bool_]


class Words(NamedTuple):
    """Words and punctuation of a batch, text after text: text i holds tokens `first[i]` to `first[i + 1]`."""

    first: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]  # bytes, in the batch's data
    ends: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]  # of the lower case, format characters left out
    chars: npt.NDArray[np.uint32]  # length in characters
    is_word: npt.NDArray[np.bool_]  # False: punctuation
    counts: npt.NDArray[np.int64]  # texts x COUNTS

    def only_words(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
        """Hashes of the words without punctuation, and where each text's words begin (one more than texts)."""
        sums = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(self.counts[:, _WORDS])])
        return self.hashes[self.is_word], sums


def split(texts: TextBuffers) -> Words:
    """Every word and mark of punctuation in a batch, with the counts of each text."""
    data, offsets = texts
    room = int(offsets[-1] - offsets[0])  # no text has more tokens than bytes; untouched pages cost nothing
    tokens = _TokenArrays(
        np.empty(room, np.int64),
        np.empty(room, np.int64),
        np.empty(room, np.uint64),
        np.empty(room, np.uint32),
        np.empty(room, np.bool_),
    )
    counts = np.zeros((len(offsets) - 1, len(COUNTS)), dtype=np.int64)
    num_tokens = _scan(data, offsets, character_tables(), _MOVES, (tokens, counts))
    first = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts[:, _TOKENS])])
    upto = slice(num_tokens)
    places, codes = (tokens.starts[upto], tokens.ends[upto]), tokens.hashes[upto]
    return Words(first, *places, codes, tokens.chars[upto], tokens.is_word[upto], counts)


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
    moves = np.full((5, 16), _NONE, dtype=np.uint8)
    for kind in (_NONE, _WORD, _IDEOGRAPH, _PUNCTUATION, _RULE):
        moves[kind, [LETTER, NUMBER]] = _WORD if kind == _WORD else _WORD | _NEW
        moves[kind, MARK] = _WORD | _NEW if kind == _NONE else kind
        moves[kind, FORMAT] = kind
        moves[kind, IDEOGRAPH] = _IDEOGRAPH | _NEW
        moves[kind, [OTHER, APOSTROPHE]] = _PUNCTUATION | _NEW
        moves[kind, RULE] = _RULE if kind == _RULE else _RULE | _NEW
        moves[kind, [SPACE, NEWLINE]] = _NONE
    moves.flags.writeable = False
    return moves


_MOVES = _moves()


@kernel(**ARRAYS_GIVEN)
def _scan(data, offsets, tables: CharacterTables, moves, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Fill tokens and counts; returns how many tokens there are."""
    tokens, counts = out
    n = 0
    for d in range(len(offsets) - 1):
        i, end = offsets[d], offsets[d + 1]
        first, words, word_chars, alphabetic, hashes, ellipses, extra = n, 0, 0, 0, 0, 0, 0
        counts[d, _CHARS] = end - i
        while i < end:
            if tables.quick[data[i]] == BLANK:
                i += 1
                continue
            start = i
            i, kind, code, is_alphabetic, wide, dots = _token(data, i, end, tables, moves)
            extra += wide
            if kind == _NONE:
                continue
            chars, is_word = i - start - wide, kind <= _IDEOGRAPH
            tokens.starts[n], tokens.ends[n], tokens.hashes[n], tokens.chars[n] = start, i, _mixed(code), chars
            tokens.is_word[n] = is_word
            n += 1
            words += is_word
            word_chars += chars if is_word else 0
            alphabetic += is_alphabetic
            hashes += data[start] == _HASH
            ellipses += dots
        row = counts[d]
        row[_CHARS] -= extra
        row[_TOKENS], row[_WORDS], row[_WORD_CHARS], row[_ALPHABETIC] = n - first, words, word_chars, alphabetic
        row[_HASHES], row[_ELLIPSES] = hashes, ellipses
    return n


@kernel(**ARRAYS_GIVEN)
def _mixed(code):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    code ^= code >> _HALF
    code *= _MIX
    return code ^ code >> _HALF


@kernel(**ARRAYS_GIVEN)
def _token(data, i, end, tables, moves):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """The token at byte i: its end, kind, hash before mixing, whether it holds a letter, its bytes beyond one a character, and
    its ellipses. What belongs to no token is one character of kind _NONE."""
    quick = tables.quick
    low = quick[data[i]]
    if low > MAY_JOIN:  # a word of ASCII letters and digits, as most tokens are: the loop below would do the same
        start, code, is_alphabetic = i, _FNV_START, False
        while low > MAY_JOIN:
            code = (code ^ np.uint64(low)) * _FNV_PRIME
            is_alphabetic |= low >= _LETTER_A
            i += 1
            low = quick[data[i]] if i < end else np.uint8(BLANK)
        if low != MAY_JOIN:
            return i, np.int64(_WORD), code, is_alphabetic, 0, 0
        i = start
    return _any_token(data, i, end, tables, moves)


@kernel(**ARRAYS_GIVEN)
def _any_token(data, i, end, tables, moves):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    kind, code, is_alphabetic, wide, dots, ellipses = np.int64(_NONE), _FNV_START, False, 0, 0, 0
    while i < end:
        point, width = decode(data, i)
        flags = np.int64(tables.classes[point])
        klass = flags & CLASS_MASK
        if kind == _WORD and flags & _JOINS and _joins(data, i, (i + width, end), flags, tables.classes):
            klass = np.int64(MARK)
        move = np.int64(moves[kind, klass])
        if kind != _NONE and (move == _NONE or move >= _NEW):
            break
        kind = move & _KIND
        i += width
        wide += width - 1
        if kind == _NONE:
            break
        dots = dots + 1 if point == _DOT else 0
        ellipses += point == _ELLIPSIS or (dots > 0 and dots % 3 == 0)
        is_alphabetic |= klass in (LETTER, IDEOGRAPH)
        if klass != FORMAT:
            code = (code ^ np.uint64(tables.lower[point])) * _FNV_PRIME
    return i, kind, code, is_alphabetic, wide, ellipses


@kernel(**ARRAYS_GIVEN)
def _joins(data, i, after, flags, classes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Whether the character at byte i, which follows a word, holds it together with what comes after."""
    place, end = after
    if place >= end:
        return False
    point, _ = decode(data, place)
    klass = classes[point] & CLASS_MASK
    if flags & JOINS_WORDS_BIT:
        return klass in (LETTER, NUMBER, MARK)
    return klass == NUMBER and classes[before(data, i)] & CLASS_MASK == NUMBER
