"""text/html_scan: the loops over the bytes of a page: to the next tag, past a comment, to the end of raw content.

Compiled, for text/html alone. Knows nothing of elements.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from whorl.core.kernels import inner

__all__ = ["COUNTS", "after", "after_comment", "byte_classes", "count_text", "is_letter", "is_space", "raw_end"]

# What is counted of a run of text, blanks left out; a CJK character is two and a word, as it carries more. Then the last
# byte that
# is not blank, and 31 bits of hash.
COUNTS = ("num_chars", "num_words", "num_ends", "num_commas", "num_digits", "last", "hash")
_CHARS, _WORDS, _ENDS, _COMMAS, _DIGITS, _LAST, _HASH = range(len(COUNTS))

_IS_SPACE, _IS_END, _IS_COMMA, _IS_DIGIT, _IS_TAIL, _IS_WIDE = 1, 2, 4, 8, 16, 32
_LT, _AMPERSAND, _DASH, _GT, _SLASH, _BANG, _SEMICOLON = 60, 38, 45, 62, 47, 33, 59
_TWO_BYTES = 0xC2  # lead of U+0080 to U+00BF
_N, _B, _S, _P = b"nbsp"
_FNV_PRIME = np.uint64(0x100000001B3)


@lru_cache(maxsize=1)
def byte_classes() -> npt.NDArray[np.uint8]:
    """Flags of every byte of UTF-8."""
    classes = np.zeros(256, dtype=np.uint8)
    classes[[ord(c) for c in "\t\n\f\r "]] = _IS_SPACE
    classes[[ord(c) for c in ".!?"]] = _IS_END
    classes[[ord(c) for c in ",;"]] = _IS_COMMA
    classes[[ord(c) for c in "0123456789"]] = _IS_DIGIT
    classes[0x80:0xC0] = _IS_TAIL
    classes[0xE3:0xEE] = _IS_WIDE  # U+3000 to U+DFFF
    classes.flags.writeable = False
    return classes


@inner
def is_letter(byte):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """Whether a byte is an ASCII letter."""
    return 97 <= byte | 32 <= 122


@inner
def is_space(byte):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """Whether a byte is a blank between attributes."""
    return byte <= 32 and (byte == 32 or byte == 9 or byte == 10 or byte == 12 or byte == 13)


@inner
def after(data, i, byte):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """The place after the next such byte, or the end."""
    while i < len(data) and data[i] != byte:
        i += 1
    return min(i + 1, len(data))


@inner
def after_comment(data, i):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """Where the comment or declaration at byte i ends; -1 if it is a comment without end."""
    if i + 3 >= len(data) or data[i + 2] != _DASH or data[i + 3] != _DASH:
        return after(data, i + 2, _GT)
    k = i + 4
    while k < len(data):
        if data[k] == _GT and data[k - 1] == _DASH and data[k - 2] == _DASH:
            return k + 1
        if data[k] == _GT and data[k - 1] == _BANG and data[k - 2] == _DASH and data[k - 3] == _DASH:
            return k + 1
        k += 1
    return -1


@inner
def raw_end(data, i, name, name_end):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """Where, from byte i, the end tag of the element named at bytes `name` to `name_end` begins; -1 if nowhere."""
    width = name_end - name
    last = len(data) - width - 2
    while i < last:
        if data[i] == _LT and data[i + 1] == _SLASH:
            k = 0
            while k < width and (data[i + 2 + k] | 32) == (data[name + k] | 32):
                k += 1
            if k == width and not is_letter(data[i + 2 + width]):
                return i
        i += 1
    return -1


@inner
def count_text(data, i, classes, row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """Count the text from byte i to the next tag into a zeroed row; returns where it ends. Always takes one byte."""
    start = i
    is_inside = False  # of a word
    code = np.uint64(0)
    while i < len(data) and (data[i] != _LT or i == start):
        byte = data[i]
        kind = classes[byte]
        if kind & _IS_SPACE:
            is_inside = False
            i += 1
            continue
        blank = _no_break_bytes(data, i) if byte in (_AMPERSAND, _TWO_BYTES) else 0
        if blank:
            is_inside = False
            i += blank
            continue
        code = (code ^ np.uint64(byte)) * _FNV_PRIME
        row[_LAST] = byte
        if kind & _IS_TAIL:
            row[_ENDS] += (
                byte == 0x82 and i > start + 1 and data[i - 1] == 0x80 and data[i - 2] == 0xE3
            )  # ideographic full stop
        else:
            is_wide = kind & _IS_WIDE != 0
            row[_CHARS] += 1 + is_wide
            row[_WORDS] += is_wide or not is_inside
            row[_ENDS] += kind & _IS_END != 0
            row[_COMMAS] += kind & _IS_COMMA != 0
            row[_DIGITS] += kind & _IS_DIGIT != 0
            is_inside = True
        i += 1
    row[_HASH] = np.int64(code >> np.uint64(33))
    return i


@inner
def _no_break_bytes(data, i):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """How many bytes a no-break space takes at byte i, as a character or as an entity; 0 if there is none."""
    if i + 6 > len(data):
        return 0
    if data[i] == _TWO_BYTES:
        return 2 * (data[i + 1] == 0xA0)
    if data[i + 1] == _N and data[i + 2] == _B and data[i + 3] == _S and data[i + 4] == _P:
        return 5 + (data[i + 5] == _SEMICOLON)
    return 0
