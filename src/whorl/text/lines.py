"""text/lines: split a batch of texts into lines in one compiled pass, with what page-quality rules ask of each line.

Lines end where `str.splitlines` ends them. Defined by text/reference_lines. Does not keep the lines: a line is its place, a
hash of its bytes and a few counts, about 50 bytes. What to make of them (which lines are bad) is the caller's rule.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from whorl.core.kernels import ARRAYS_GIVEN, kernel
from whorl.text.characters import (
    BULLET_BIT,
    CLASS_MASK,
    IDEOGRAPH,
    LETTER,
    MARK,
    NEWLINE,
    NUMBER,
    SPACE,
    TERMINAL_BIT,
    character_tables,
)
from whorl.text.columns import TextBuffers
from whorl.text.utf8 import before, decode

__all__ = [
    "ABBREVIATIONS",
    "BLANK",
    "BULLET",
    "CURLY",
    "ELLIPSIS",
    "JAVASCRIPT",
    "LOREM_IPSUM",
    "PHRASES",
    "POLICY",
    "TERMINAL",
    "Lines",
    "has_long_word",
    "split_lines",
]

# Flags of a line.
BLANK = 1  # nothing but white space
BULLET = 2  # its first character opens a list item
ELLIPSIS = 4  # ends, white space apart, in three full stops or the character for them
TERMINAL = 8  # its very last character ends a sentence: a trailing blank hides it
CURLY = 16  # holds an opening curly bracket
LOREM_IPSUM, JAVASCRIPT, POLICY = 32, 64, 128

# Phrases found in any case, each with a letter that is rare in prose: only there does the scanner look for it.
PHRASES: Mapping[str, tuple[int, str]] = {
    "lorem ipsum": (LOREM_IPSUM, "p"),
    "javascript": (JAVASCRIPT, "j"),
    "terms of use": (POLICY, "f"),
    "privacy policy": (POLICY, "v"),
    "cookie policy": (POLICY, "k"),
    "uses cookies": (POLICY, "k"),
    "use of cookies": (POLICY, "k"),
    "use cookies": (POLICY, "k"),
}
# A full stop after one of these, or after a single letter, ends no sentence.
ABBREVIATIONS = (
    "Mr", "Mrs", "Ms", "Messrs", "Dr", "Prof", "Rev", "Gen", "Gov", "Rep", "Sen", "Adm", "St", "Jr", "Sr", "Mt", "Inc", "Co",
    "co", "Corp", "Ltd", "Bros", "vs", "Jan", "Feb", "Mar", "Apr", "Jun", "Jul", "Aug", "Sep", "Sept", "Oct", "Nov", "Dec",
)  # fmt: skip

_OUTSIDE, _PENDING, _ENDED = range(3)  # of a sentence: in it; after its end mark; after that and white space
# What to do at a byte; look: a sentence may end there, or a wide character begins.
_PLAIN, _BREAK, _TRIGGER, _BRACKET, _LOOK = range(5)
_LF, _CR, _DOT, _ELLIPSIS = 10, 13, 46, 0x2026
_SPACE_BYTES = (9, 31, 32)
_UPPER_A, _UPPER_Z, _LOWER_A, _LOWER_Z, _CASE = 65, 90, 97, 122, 32
_LONGEST_ABBREVIATION = 7  # letters that fit into a key of 64 bits

_FNV_START = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_BYTE, _HALF = np.uint64(8), np.uint64(32)


class Lines(NamedTuple):
    """Lines of a batch, text after text: text i holds lines `first[i]` to `first[i + 1]`."""

    first: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]  # bytes, in the batch's data
    ends: npt.NDArray[np.int64]  # without the line break
    hashes: npt.NDArray[np.uint64]  # of the bytes
    chars: npt.NDArray[np.uint32]
    words: npt.NDArray[np.uint32]  # stretches without white space
    sentences: npt.NDArray[np.uint32]
    last: npt.NDArray[np.uint32]  # code point of the last character that is no white space; 0 if there is none
    flags: npt.NDArray[np.uint8]

    def per_text(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
        """Sums over the lines of each text, of one entry per line."""
        sums = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(values, dtype=np.int64)])
        return np.asarray(np.diff(sums[self.first]))


class _Phrases(NamedTuple):
    letters: npt.NDArray[np.uint8]  # of all phrases, end to end
    first: npt.NDArray[np.int64]
    trigger: npt.NDArray[np.int64]  # place of its rare letter in each phrase
    bits: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]  # by byte: the phrases that it triggers, from and to


def split_lines(texts: TextBuffers) -> Lines:
    """Every line of a batch."""
    data, offsets = texts
    room = _possible_breaks(data[offsets[0] : offsets[-1]]) + len(offsets)
    dtypes = (np.int64, np.int64, np.uint64, *(np.uint32,) * 4, np.uint8)
    columns = tuple(np.empty(room, dtype) for dtype in dtypes)
    first = np.zeros(len(offsets), dtype=np.int64)
    count = _scan(data, offsets, (character_tables(), _STEPS, _PHRASES, _ABBREVIATION_KEYS), first, columns)
    return Lines(first, *(column[:count] for column in columns))


def has_long_word(texts: TextBuffers, lines: Lines, max_chars: int) -> npt.NDArray[np.bool_]:
    """Which lines of a batch hold a stretch of more than `max_chars` characters without white space."""
    is_long = np.zeros(len(lines.starts), dtype=np.bool_)
    _mark_long_words(texts.data, (lines.starts, lines.ends, lines.chars), max_chars, character_tables().classes, is_long)
    return is_long


def _frozen(values: object, dtype: type[np.generic]) -> npt.NDArray[Any]:
    array = np.array(values, dtype=dtype)
    array.flags.writeable = False
    return array


def _phrases() -> _Phrases:
    ordered = sorted(PHRASES, key=lambda phrase: PHRASES[phrase][1])
    letters = [PHRASES[phrase][1] for phrase in ordered]
    groups = np.zeros((256, 2), dtype=np.int64)
    for letter in set(letters):
        groups[[ord(letter), ord(letter.upper())]] = letters.index(letter), letters.index(letter) + letters.count(letter)
    return _Phrases(
        _frozen(list("".join(ordered).encode()), np.uint8),
        _frozen(np.cumsum([0, *map(len, ordered)]), np.int64),
        _frozen([phrase.index(letter) for phrase, letter in zip(ordered, letters, strict=True)], np.int64),
        _frozen([PHRASES[phrase][0] for phrase in ordered], np.int64),
        _frozen(groups, np.int64),
    )


def _steps() -> npt.NDArray[Any]:
    steps = np.full(256, _PLAIN, dtype=np.uint8)
    steps[[*b".!?", *range(0xC0, 256)]] = _LOOK
    steps[list(b"\n\r\v\f\x1c\x1d\x1e")] = _BREAK
    steps[ord("{")] = _BRACKET
    for _, letter in PHRASES.values():
        steps[[ord(letter), ord(letter.upper())]] = _TRIGGER
    return _frozen(steps, np.uint8)


_PHRASES = _phrases()
_STEPS = _steps()
_ABBREVIATION_KEYS = _frozen([int.from_bytes(name.encode(), "big") for name in ABBREVIATIONS], np.uint64)


@kernel(**ARRAYS_GIVEN)
def _possible_breaks(data):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """How many bytes are a line break or the last byte of one: 10-13, 28-30, and the ends of U+0085, U+2028 and U+2029."""
    count = 0
    for i in range(len(data)):
        b = data[i]
        count += ((b >= 10) & (b <= 13)) | ((b >= 28) & (b <= 30)) | (b == 0x85) | (b == 0xA8) | (b == 0xA9)
    return count


@kernel(**ARRAYS_GIVEN)
def _scan(data, offsets, tables, first, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Fill the columns; returns how many lines there are."""
    starts, ends, hashes, chars, words, sentences, last, flags = out
    n = 0
    for d in range(len(offsets) - 1):
        i, end = offsets[d], offsets[d + 1]
        while i < end:
            stop, is_ascii, breaks, seen = _scan_line(data, i, end, tables)
            starts[n], ends[n], hashes[n] = i, stop, _hash(data, i, stop)
            chars[n], words[n] = _sizes(data[i:stop], tables[0].classes, is_ascii)
            last[n], look = _outside(data, i, stop, tables[0].classes)
            sentences[n], flags[n] = breaks + (words[n] > 0), look | seen
            i = _after_break(data, stop, end)
            n += 1
        first[d + 1] = n
    return n


@kernel(**ARRAYS_GIVEN)
def _scan_line(data, i, end, all_tables):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """From byte i: where the line ends, whether it is ASCII, how many sentences end before others, flags of what is in it."""
    tables, steps, phrases, abbreviations = all_tables
    start, breaks, after, flags, is_ascii = i, 0, i, np.int64(0), True
    while i < end:
        step = steps[data[i]]
        if step == _PLAIN:
            i += 1
            continue
        if step == _BREAK:
            break
        if step == _TRIGGER:
            flags |= _phrase(data, i, start, end, phrases)
        elif step == _BRACKET:
            flags |= CURLY
        else:
            point, width = decode(data, i)
            is_ascii &= width == 1
            kind = np.int64(tables.classes[point])
            if kind & CLASS_MASK == NEWLINE:
                break
            if i >= after and kind & TERMINAL_BIT:
                begins, after = _after_mark(data, i, (start, end), tables.classes, abbreviations)
                breaks += begins
            i += width - 1
        i += 1
    return i, is_ascii, breaks, flags


@kernel(**ARRAYS_GIVEN)
def _sizes(line, classes, is_ascii):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Characters, and stretches without white space."""
    words, was_space, i, chars = 0, True, 0, 0
    if is_ascii:
        for k in range(len(line)):
            is_space = (line[k] == _SPACE_BYTES[0]) | (line[k] == _SPACE_BYTES[1]) | (line[k] == _SPACE_BYTES[2])
            words += was_space & (not is_space)
            was_space = is_space
        return len(line), words
    while i < len(line):
        point, width = decode(line, i)
        is_space = classes[point] & CLASS_MASK == SPACE
        words += was_space & (not is_space)
        was_space = is_space
        i += width
        chars += 1
    return chars, words


@kernel(**ARRAYS_GIVEN)
def _outside(data, i, end, classes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """The last character that is no white space, and the flags that say how a line looks from outside."""
    while i < end:
        point, width = decode(data, i)
        if classes[point] & CLASS_MASK != SPACE:
            break
        i += width
    if i >= end:
        return np.int64(0), np.int64(BLANK)
    flags = BULLET if classes[point] & BULLET_BIT else 0
    solid, last = end, before(data, end)
    while classes[last] & CLASS_MASK == SPACE:
        solid -= _width(last)
        last = before(data, solid)
    is_ellipsis = last == _DOT and solid - 3 >= i and data[solid - 2] == _DOT and data[solid - 3] == _DOT
    flags |= ELLIPSIS if is_ellipsis or last == _ELLIPSIS else 0
    return last, flags | (TERMINAL if solid == end and classes[last] & TERMINAL_BIT else 0)


@kernel(**ARRAYS_GIVEN)
def _width(point):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    return 1 + (point >= 0x80) + (point >= 0x800) + (point >= 0x10000)


@kernel(**ARRAYS_GIVEN)
def _phrase(data, i, start, end, phrases):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Bits of the phrases that have their trigger at byte i."""
    found = np.int64(0)
    group = phrases.groups[data[i]]
    for p in range(group[0], group[1]):
        begin, place = phrases.first[p], i - phrases.trigger[p]
        size = phrases.first[p + 1] - begin
        if place < start or place + size > end:
            continue
        k = 0
        while k < size and _lower(data[place + k]) == phrases.letters[begin + k]:
            k += 1
        found |= phrases.bits[p] if k == size else 0
    return found


@kernel(**ARRAYS_GIVEN)
def _lower(byte):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    return byte | _CASE if _UPPER_A <= byte <= _UPPER_Z else byte


@kernel(**ARRAYS_GIVEN)
def _after_mark(data, i, span, classes, abbreviations):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Whether another sentence begins after the terminal character at byte i, and up to where that is now known."""
    start, end = span
    state = _OUTSIDE
    while i < end:
        point, width = decode(data, i)
        kind = np.int64(classes[point])
        klass = kind & CLASS_MASK
        if klass == NEWLINE:
            return False, i
        if klass == LETTER or klass == NUMBER or klass == MARK or klass == IDEOGRAPH:  # noqa: SIM109 - `in` compiles slower
            return _begins_sentence(data, i, start, state), i
        if klass == SPACE:
            state = _ENDED if state == _PENDING else state
        elif kind & TERMINAL_BIT:
            state = max(state, _end_mark(data, i, span, point, abbreviations))
        i += width
    return False, i


@kernel(**ARRAYS_GIVEN)
def _begins_sentence(data, i, start, state):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Whether the letter or digit at byte i opens another sentence: after an ended one, or as in `end.Next`."""
    if state != _PENDING:
        return state == _ENDED
    is_tight = i - 2 >= start and data[i - 1] == _DOT and _LOWER_A <= data[i - 2] <= _LOWER_Z
    return is_tight and _UPPER_A <= data[i] <= _UPPER_Z


@kernel(**ARRAYS_GIVEN)
def _end_mark(data, i, span, point, abbreviations):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """What the terminal character at byte i makes of the sentence: nothing, its possible end, or its end."""
    if point >= 0x80:  # the wide ones need no white space after them
        return _ENDED
    if point != _DOT:
        return _PENDING
    start, end = span
    if (i > start and data[i - 1] == _DOT) or (i + 1 < end and data[i + 1] == _DOT):
        return _OUTSIDE
    key, letters, j = np.uint64(0), 0, i - 1
    while j >= start and _LOWER_A <= data[j] | _CASE <= _LOWER_Z and letters <= _LONGEST_ABBREVIATION:
        key |= np.uint64(data[j]) << (_BYTE * np.uint64(letters))
        letters += 1
        j -= 1
    if letters == 1:
        return _OUTSIDE
    for k in range(len(abbreviations)):
        if abbreviations[k] == key:
            return _OUTSIDE
    return _PENDING


@kernel(**ARRAYS_GIVEN)
def _after_break(data, i, end):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """The byte after the line break at byte i, or the end."""
    if i >= end:
        return end
    if data[i] == _CR and i + 1 < end and data[i + 1] == _LF:
        return i + 2
    _, width = decode(data, i)
    return i + width


@kernel(**ARRAYS_GIVEN)
def _hash(data, i, end):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """64-bit hash of bytes, eight at a time."""
    code = _FNV_START ^ np.uint64(end - i)
    while i + 8 <= end:
        word = np.uint64(0)
        for k in range(8):
            word |= np.uint64(data[i + k]) << (_BYTE * np.uint64(k))
        code = (code ^ word) * _MIX
        code ^= code >> _HALF
        i += 8
    while i < end:
        code = (code ^ np.uint64(data[i])) * _FNV_PRIME
        i += 1
    code ^= code >> _HALF
    code *= _MIX
    return code ^ code >> _HALF


@kernel(**ARRAYS_GIVEN)
def _mark_long_words(data, lines, limit, classes, is_long):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    starts, ends, chars = lines
    for n in range(len(starts)):
        i, length = starts[n], 0
        while chars[n] > limit and i < ends[n] and not is_long[n]:
            point, width = decode(data, i)
            length = 0 if classes[point] & CLASS_MASK == SPACE else length + 1
            is_long[n] = length > limit
            i += width
