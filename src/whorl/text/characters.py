"""text/characters: what the kernels know of every Unicode character, as flat tables: its class, its lower case, what it joins.

Nothing here looks at words. Classes follow the general category of the running Python's Unicode version. Characters above the
assigned planes stay OTHER and are their own lower case.
Sentence ends: the property Sentence_Terminal, https://www.unicode.org/reports/tr44/.
"""

import unicodedata
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "APOSTROPHE",
    "BLANK",
    "BULLET_BIT",
    "CLASS_MASK",
    "FORMAT",
    "IDEOGRAPH",
    "JOINS_NUMBERS_BIT",
    "JOINS_WORDS_BIT",
    "LETTER",
    "MARK",
    "MAY_JOIN",
    "NEWLINE",
    "NUMBER",
    "OTHER",
    "RULE",
    "SPACE",
    "TERMINAL_BIT",
    "CharacterTables",
    "character_tables",
]

OTHER, SPACE, NEWLINE, LETTER, NUMBER, MARK, FORMAT, IDEOGRAPH, APOSTROPHE, RULE = range(10)
CLASS_MASK = 15
# Set beside the class:
BULLET_BIT = 16  # opens a list item
JOINS_WORDS_BIT = 32  # between letters or numbers it is part of the word: don't, example.com, 3.14
JOINS_NUMBERS_BIT = 64  # the same between digits only: 1,000 and 10:30
TERMINAL_BIT = 128  # ends a sentence
# Entries of `CharacterTables.quick` that are no letter:
OTHERWISE, BLANK, MAY_JOIN = 0, 1, 2  # ordinary punctuation; white space; a byte that may go on with a word

_NEWLINES = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"  # the ones str.splitlines splits at
_APOSTROPHES = "'\u2019"
_RULES = ".-/\\|~"  # punctuation that comes in runs: an ellipsis, a dash, a ruled line
_BULLETS = "-*\u2022\u2023\u25e6\u25aa\u25cf\u25a0\u25a1\u25b6\u2013"
_JOIN_WORDS = "'\u2019."
_JOIN_NUMBERS = ",:/"
_TERMINALS = (
    (0x21, 0x21), (0x2E, 0x2E), (0x3F, 0x3F), (0x589, 0x589), (0x61D, 0x61F), (0x6D4, 0x6D4), (0x700, 0x702), (0x7F9, 0x7F9),
    (0x837, 0x837), (0x839, 0x839), (0x83D, 0x83E), (0x964, 0x965), (0x104A, 0x104B), (0x1362, 0x1362), (0x1367, 0x1368),
    (0x166E, 0x166E), (0x1735, 0x1736), (0x17D4, 0x17D6), (0x17D9, 0x17DA), (0x1803, 0x1803), (0x1809, 0x1809),
    (0x1944, 0x1945), (0x1AA8, 0x1AAB), (0x1B5A, 0x1B5B), (0x1B5E, 0x1B5F), (0x1B7D, 0x1B7E), (0x1C3B, 0x1C3C),
    (0x1C7E, 0x1C7F), (0x203C, 0x203D), (0x2047, 0x2049), (0x2E2E, 0x2E2E), (0x2E3C, 0x2E3C), (0x2E53, 0x2E54),
    (0x3002, 0x3002), (0xA4FF, 0xA4FF), (0xA60E, 0xA60F), (0xA6F3, 0xA6F3), (0xA6F7, 0xA6F7), (0xA876, 0xA877),
    (0xA8CE, 0xA8CF), (0xA92F, 0xA92F), (0xA9C8, 0xA9C9), (0xAA5D, 0xAA5F), (0xAAF0, 0xAAF1), (0xABEB, 0xABEB),
    (0xFE52, 0xFE52), (0xFE56, 0xFE57), (0xFF01, 0xFF01), (0xFF0E, 0xFF0E), (0xFF1F, 0xFF1F), (0xFF61, 0xFF61),
    (0x10A56, 0x10A57), (0x10F55, 0x10F59), (0x10F86, 0x10F89), (0x11047, 0x11048), (0x110BE, 0x110C1), (0x11141, 0x11143),
    (0x111C5, 0x111C6), (0x111CD, 0x111CD), (0x111DE, 0x111DF), (0x11238, 0x11239), (0x1123B, 0x1123C), (0x112A9, 0x112A9),
    (0x1144B, 0x1144C), (0x115C2, 0x115C3), (0x115C9, 0x115D7), (0x11641, 0x11642), (0x1173C, 0x1173E), (0x11944, 0x11944),
    (0x11946, 0x11946), (0x11A42, 0x11A43), (0x11A9B, 0x11A9C), (0x11C41, 0x11C42), (0x11EF7, 0x11EF8), (0x11F43, 0x11F44),
    (0x16A6E, 0x16A6F), (0x16AF5, 0x16AF5), (0x16B37, 0x16B38), (0x16B44, 0x16B44), (0x16E98, 0x16E98), (0x1BC9F, 0x1BC9F),
    (0x1DA88, 0x1DA88))  # fmt: skip
# Scripts written without spaces whose characters are, roughly, words. Katakana is not: it spells words out, as letters do.
_IDEOGRAPHS = ((0x3005, 0x3007), (0x3021, 0x3029), (0x3040, 0x309F), (0x3400, 0x4DBF), (0x4E00, 0x9FFF),
               (0xF900, 0xFAFF), (0x1B000, 0x1B16F), (0x20000, 0x323AF))  # fmt: skip
_CATEGORY_CLASS = {"Cf": FORMAT, "Pc": NUMBER}  # connectors, the underscore first, hold identifiers together
_MAJOR_CLASS = {"L": LETTER, "N": NUMBER, "M": MARK, "Z": SPACE}
_ASSIGNED = (range(0x32400), range(0xE0000, 0xE0200))  # every other plane is unassigned or private
_NUM_CODE_POINTS = 0x110000


class CharacterTables(NamedTuple):
    """Read-only tables over all code points, and one over bytes."""

    classes: npt.NDArray[np.uint8]  # class | bits
    lower: npt.NDArray[np.uint32]  # single-character lower case; apostrophes are made one
    quick: npt.NDArray[np.uint8]  # by byte: the lower case of an ASCII letter, digit or connector, or what else it is


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
    for marked, bit in ((_BULLETS, BULLET_BIT), (_JOIN_WORDS, JOINS_WORDS_BIT), (_JOIN_NUMBERS, JOINS_NUMBERS_BIT)):
        classes[[ord(c) for c in marked]] |= bit
    for first, last in _TERMINALS:
        classes[first : last + 1] |= TERMINAL_BIT
    tables = CharacterTables(classes, lower, _quick(classes[:128], lower[:128]))
    for table in tables:
        table.flags.writeable = False
    return tables


def _quick(classes: npt.NDArray[np.uint8], lower: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    """The byte table, of the first 128 characters; the first byte of any other may begin a mark."""
    kinds = classes & CLASS_MASK
    quick = np.full(256, MAY_JOIN, dtype=np.uint8)
    quick[:128] = np.where(classes & (JOINS_WORDS_BIT | JOINS_NUMBERS_BIT), MAY_JOIN, OTHERWISE)
    quick[:128][(kinds == SPACE) | (kinds == NEWLINE)] = BLANK
    is_letter = (kinds == LETTER) | (kinds == NUMBER)
    quick[:128][is_letter] = lower[is_letter]
    return quick


def _class_of(character: str) -> int:
    if character in _NEWLINES:
        return NEWLINE
    if character in _APOSTROPHES:
        return APOSTROPHE
    if character in _RULES:
        return RULE
    if character.isspace():
        return SPACE
    category = unicodedata.category(character)
    return _CATEGORY_CLASS.get(category, _MAJOR_CLASS.get(category[0], OTHER))


def _lower_of(character: str) -> int:
    if character in _APOSTROPHES:
        return ord(_APOSTROPHES[0])
    lowered = character.lower()
    return ord(lowered) if len(lowered) == 1 else ord(character)
