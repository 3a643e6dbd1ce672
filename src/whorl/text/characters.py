"""text/characters: one byte and one lower-case code point for every Unicode character, as flat tables.

The kernels index these tables; nothing here looks at words. Classes follow the general category of the running Python's
Unicode version. Characters above the assigned planes stay OTHER and are their own lower case.
"""

import unicodedata
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "APOSTROPHE",
    "BULLET_BIT",
    "CLASS_MASK",
    "FORMAT",
    "IDEOGRAPH",
    "LETTER",
    "MARK",
    "NEWLINE",
    "NUMBER",
    "OTHER",
    "SPACE",
    "CharacterTables",
    "character_tables",
]

OTHER, SPACE, NEWLINE, LETTER, NUMBER, MARK, FORMAT, IDEOGRAPH, APOSTROPHE = range(9)
CLASS_MASK = 15
BULLET_BIT = 16  # set beside the class of characters that open a list item

_NEWLINES = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"  # the ones str.splitlines splits at
_APOSTROPHES = "'\u2019"
_BULLETS = "-*\u2022\u2023\u25e6\u25aa\u25cf\u25a0\u25a1\u25b6\u2013"
# Scripts written without spaces whose characters are, roughly, words.
_IDEOGRAPHS = ((0x3005, 0x3007), (0x3021, 0x3029), (0x3040, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF),
               (0xF900, 0xFAFF), (0x1B000, 0x1B16F), (0x20000, 0x323AF))  # fmt: skip
_CATEGORY_CLASS = {"Cf": FORMAT, "Pc": NUMBER}  # connectors, the underscore first, hold identifiers together
_MAJOR_CLASS = {"L": LETTER, "N": NUMBER, "M": MARK, "Z": SPACE}
_ASSIGNED = (range(0x32400), range(0xE0000, 0xE0200))  # every other plane is unassigned or private
_NUM_CODE_POINTS = 0x110000


class CharacterTables(NamedTuple):
    """Read-only tables over all code points."""

    classes: npt.NDArray[np.uint8]  # class | BULLET_BIT
    lower: npt.NDArray[np.uint32]  # single-character lower case; apostrophes are made one


@lru_cache(maxsize=1)
def character_tables() -> CharacterTables:
    """The tables, built once per process (about 60 ms)."""
    classes = np.full(_NUM_CODE_POINTS, OTHER, dtype=np.uint8)
    lower = np.arange(_NUM_CODE_POINTS, dtype=np.uint32)
    for block in _ASSIGNED:
        characters = [chr(point) for point in block]
        classes[block.start : block.stop] = [_class_of(character) for character in characters]
        lower[block.start : block.stop] = [_lower_of(character) for character in characters]
    for first, last in _IDEOGRAPHS:
        span = classes[first : last + 1]
        span[(span == LETTER) | (span == NUMBER)] = IDEOGRAPH
    classes[[ord(c) for c in _BULLETS]] |= BULLET_BIT
    classes.flags.writeable = False
    lower.flags.writeable = False
    return CharacterTables(classes, lower)


def _class_of(character: str) -> int:
    if character in _NEWLINES:
        return NEWLINE
    if character in _APOSTROPHES:
        return APOSTROPHE
    if character.isspace():
        return SPACE
    category = unicodedata.category(character)
    return _CATEGORY_CLASS.get(category, _MAJOR_CLASS.get(category[0], OTHER))


def _lower_of(character: str) -> int:
    if character in _APOSTROPHES:
        return ord(_APOSTROPHES[0])
    lowered = character.lower()
    return ord(lowered) if len(lowered) == 1 else ord(character)
