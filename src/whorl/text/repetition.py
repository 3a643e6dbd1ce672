"""text/repetition: how much of a text repeats itself: lines, paragraphs, its commonest short n-grams, its long ones.

N-grams are of words and punctuation, compared by the lower-case hashes of text/words. An n-gram can only repeat where both
(n-1)-grams inside it do, so each length looks only at what was left by the one before: prose costs about two look-ups a word
for all nine lengths, one word repeated a million times nine, and time is linear in both. Exact but for collisions of 64-bit
hashes. Defined by text/reference_repetition. Thresholds are a filter's.
"""

import numpy as np
import numpy.typing as npt

from whorl.core.kernels import ARRAYS_GIVEN, kernel
from whorl.text.lines import BLANK, Lines
from whorl.text.words import Words

__all__ = ["DUPLICATE_NGRAMS", "LINE_REPETITION", "NGRAM_REPETITION", "TOP_NGRAMS", "line_repetition", "ngram_repetition"]

TOP_NGRAMS = (2, 3, 4)
DUPLICATE_NGRAMS = (5, 6, 7, 8, 9, 10)
# Columns, one row per text; text/reference_repetition says exactly what each one counts.
NGRAM_REPETITION = (
    *(f"num_top_{n}gram_chars" for n in TOP_NGRAMS),
    *(f"num_duplicate_{n}gram_chars" for n in DUPLICATE_NGRAMS),
)
LINE_REPETITION = (
    "num_text_lines",
    "num_duplicate_lines",
    "num_duplicate_line_chars",
    "num_paragraphs",
    "num_duplicate_paragraphs",
    "num_duplicate_paragraph_chars",
)

_FIRST_TOP, _LAST_TOP, _LAST = TOP_NGRAMS[0], TOP_NGRAMS[-1], DUPLICATE_NGRAMS[-1]
_FREE = np.int32(-1)  # a slot of the table
_MIX = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


def ngram_repetition(words: Words) -> npt.NDArray[np.int64]:
    """Texts x NGRAM_REPETITION. Memory beside the words: 24 to 36 bytes per word of the longest text."""
    counts = np.zeros((len(words.first) - 1, len(NGRAM_REPETITION)), dtype=np.int64)
    room = int(np.diff(words.first).max(initial=0)) + 1
    names, other_names, times, places = (np.empty(room, np.int32) for _ in range(4))
    table = np.empty(_table_size(room), np.int32)
    _count_ngrams(
        words.hashes, words.chars, words.first, (names, other_names, times, places, np.empty(room, np.int64), table), counts
    )
    return counts


def line_repetition(lines: Lines) -> npt.NDArray[np.int64]:
    """Texts x LINE_REPETITION. Blank lines are neither text nor repetition; a line without characters ends a paragraph."""
    counts = np.zeros((len(lines.first) - 1, len(LINE_REPETITION)), dtype=np.int64)
    longest = int(np.diff(lines.first).max(initial=0))
    table = np.empty(_table_size(max(1, longest)), np.uint64)
    _count_lines(lines.hashes, lines.chars, lines.flags, lines.first, (table, counts))
    return counts


def _table_size(entries: int) -> int:
    """A power of two at least half as large again, so that look-ups stay short."""
    return 1 << (entries + entries // 2).bit_length()


@kernel(**ARRAYS_GIVEN)
def _bits_for(entries):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Bits of a table at least half as large again as its entries; never more than _table_size gives."""
    bits = 1
    while 1 << bits < entries + entries // 2:
        bits += 1
    return bits


@kernel(**ARRAYS_GIVEN)
def _count_ngrams(hashes, chars, first, scratch, counts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """One row per text. `places` are where repeated n-grams stand, ascending; `names[i]` is where the one at i stands first."""
    names, old_names, times, places, ends, table = scratch
    for d in range(len(first) - 1):
        begin, size = first[d], first[d + 1] - first[d]
        ends[0] = 0
        for i in range(size):
            ends[i + 1] = ends[i] + chars[begin + i]
        _name_words(hashes[begin : begin + size], names, times, table)
        for i in range(size):
            places[i] = i
        left = _repeated(names, times, places, size)
        for n in range(_FIRST_TOP, _LAST + 1):
            names, old_names = old_names, names
            left = _with_next(places, left)
            _name_longer((names, old_names), times, places, left, table)
            left = _repeated(names, times, places, left)
            if n > _LAST_TOP:
                counts[d, n - _FIRST_TOP] = _duplicates(names, times, places, (left, n), ends)
            elif size >= n:
                counts[d, n - _FIRST_TOP] = _top(names, times, places, (left, n), ends)


@kernel(**ARRAYS_GIVEN)
def _name_words(hashes, names, times, table):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    size = len(hashes)
    bits = _bits_for(size)
    mask, shift = (1 << bits) - 1, np.uint64(64 - bits)
    table[: mask + 1] = _FREE
    for i in range(size):
        slot = np.int64(hashes[i] * _MIX >> shift)
        while table[slot] >= 0 and hashes[table[slot]] != hashes[i]:
            slot = (slot + 1) & mask
        name = table[slot]
        times[i] = 0
        name = np.int32(i) if name < 0 else name  # without a branch: whether a word is new cannot be predicted
        table[slot] = names[i] = name
        times[name] += 1


@kernel(**ARRAYS_GIVEN)
def _name_longer(both_names, times, places, left, table):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Name the n-grams at `places` by the names of the two (n-1)-grams inside them."""
    names, old = both_names
    bits = _bits_for(left)
    mask, shift = (1 << bits) - 1, np.uint64(64 - bits)
    table[: mask + 1] = _FREE
    for k in range(left):
        i = places[k]
        slot = np.int64((np.uint64(old[i]) << _HALF | np.uint64(old[i + 1])) * _MIX >> shift)
        while table[slot] >= 0 and (old[table[slot]] != old[i] or old[table[slot] + 1] != old[i + 1]):
            slot = (slot + 1) & mask
        name = table[slot]
        times[i] = 0
        name = i if name < 0 else name
        table[slot] = names[i] = name
        times[name] += 1


@kernel(**ARRAYS_GIVEN)
def _repeated(names, times, places, left):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Leave only the places of n-grams that occur more than once; returns how many are left."""
    kept = 0
    for k in range(left):
        i = places[k]
        places[kept] = i
        kept += times[names[i]] > 1
    return kept


@kernel(**ARRAYS_GIVEN)
def _with_next(places, left):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Leave only the places whose next word is a place too; returns how many are left."""
    kept = 0
    for k in range(left - 1):
        i = places[k]
        is_followed = places[k + 1] == i + 1
        places[kept] = i
        kept += is_followed
    return kept


@kernel(**ARRAYS_GIVEN)
def _top(names, times, places, left_n, ends):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Characters, joined by spaces, of the commonest n-gram times how often it occurs; of several, the first in the text."""
    left, n = left_n
    most, place = 1, np.int64(0)
    for k in range(left):
        name = names[places[k]]
        if times[name] > most:
            most, place = times[name], np.int64(name)
    return (ends[place + n] - ends[place] + n - 1) * most


@kernel(**ARRAYS_GIVEN)
def _duplicates(names, times, places, left_n, ends):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Characters of n-grams that were there before, no word twice; an n-gram inside a counted one counts as not seen."""
    left, n = left_n
    found, after = np.int64(0), 0
    for k in range(left):
        i = places[k]
        if i < after:
            continue
        if times[names[i]] == 0:
            found += ends[i + n] - ends[i]
            after = i + n
        times[names[i]] = 0  # from here on it has been seen
    return found


@kernel(**ARRAYS_GIVEN)
def _count_lines(hashes, chars, flags, first, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    table, counts = out
    for d in range(len(first) - 1):
        begin, end = first[d], first[d + 1]
        bits = _bits_for(end - begin)
        table[: 1 << bits] = 0
        for i in range(begin, end):
            if flags[i] & BLANK == 0:
                _count_one(hashes[i], np.int64(chars[i]), table, bits, counts[d, :3])
        table[: 1 << bits] = 0
        i = begin
        while i < end:
            i, code, size, is_blank = _paragraph(hashes, chars, flags, i, end)
            if not is_blank:
                _count_one(code, size, table, bits, counts[d, 3:])


@kernel(**ARRAYS_GIVEN)
def _count_one(code, size, table, bits, row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Count a line or paragraph, and whether it was there before; 0 marks a free slot."""
    code |= np.uint64(code == 0)
    mask = (1 << bits) - 1
    slot = np.int64(code * _MIX >> np.uint64(64 - bits))
    while table[slot] != 0 and table[slot] != code:
        slot = (slot + 1) & mask
    row[0] += 1
    if table[slot] == code:
        row[1] += 1
        row[2] += size
    table[slot] = code


@kernel(**ARRAYS_GIVEN)
def _paragraph(hashes, chars, flags, i, end):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """The lines from i up to one without characters: the line after, a hash, characters with breaks, and if all are blank."""
    code, size, is_blank, count = np.uint64(0), np.int64(0), True, 0
    while i < end and chars[i] > 0:
        code = (code ^ hashes[i]) * _MIX
        code ^= code >> _HALF
        size += chars[i]
        is_blank &= flags[i] & BLANK != 0
        count += 1
        i += 1
    return (i if count else i + 1), code, size + max(count - 1, 0), is_blank
