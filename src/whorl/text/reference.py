"""text/reference: words and statistics in plain Python: the definition the compiled kernels are proved equal to.

Slow on purpose and not used at run time. Words are maximal runs of letters, numbers, marks and connectors, joined across a
single apostrophe; ideographs and kana stand alone; everything that is neither a word nor a space is split off as punctuation.
"""

import re
from typing import NamedTuple

from whorl.text.characters import BULLET_BIT, CLASS_MASK, FORMAT, IDEOGRAPH, LETTER, character_tables

__all__ = ["ReferenceToken", "reference_statistics", "reference_tokens"]

_LETTERS_OF_CLASSES = "OSNLDMFIA"  # other space newline letter digit mark format ideograph apostrophe
_TOKEN = re.compile(
    r"(?P<word>[LDM][LDMF]*(?:A[LDM][LDMF]*)*)"  # don't, snake_case, 3rd
    r"|(?P<ideograph>I[MF]*)"
    r"|(?P<punctuation>[OA][OAMF]*)"
)
_MASK_64 = (1 << 64) - 1


class ReferenceToken(NamedTuple):
    """A word or a run of punctuation, in characters of the text."""

    start: int
    end: int
    is_word: bool
    is_alphabetic: bool
    hash: int


def reference_tokens(text: str) -> list[ReferenceToken]:
    """Words and punctuation of a text, in order."""
    tables = character_tables()
    drawn = "".join(_LETTERS_OF_CLASSES[tables.classes[ord(c)] & CLASS_MASK] for c in text)
    return [_token(text, match) for match in _TOKEN.finditer(drawn)]


def _token(text: str, match: re.Match[str]) -> ReferenceToken:
    classes, lower = character_tables()
    points = [ord(c) for c in text[match.start() : match.end()]]
    code = 0xCBF29CE484222325
    for point in points:
        if classes[point] & CLASS_MASK != FORMAT:
            code = ((code ^ int(lower[point])) * 0x100000001B3) & _MASK_64
    code ^= code >> 32
    code = (code * 0xD6E8FEB86659FD93) & _MASK_64
    code ^= code >> 32
    is_alphabetic = any(classes[p] & CLASS_MASK in (LETTER, IDEOGRAPH) for p in points)
    return ReferenceToken(match.start(), match.end(), match.lastgroup != "punctuation", is_alphabetic, code)


def reference_statistics(text: str) -> dict[str, int]:
    """Counts of whorl.text.statistics for one text."""
    classes = character_tables().classes
    tokens = reference_tokens(text)
    words = [token for token in tokens if token.is_word]
    lines = text.splitlines()
    openings = [line.lstrip()[:1] for line in lines]
    return {
        "num_chars": len(text),
        "num_tokens": len(tokens),
        "num_words": len(words),
        "num_word_chars": sum(token.end - token.start for token in words),
        "num_alphabetic_words": sum(token.is_alphabetic for token in words),
        "num_lines": len(lines),
        "num_bullet_lines": sum(bool(classes[ord(c)] & BULLET_BIT) for c in openings if c),
        "num_ellipsis_lines": sum(line.rstrip().endswith(("...", "\u2026")) for line in lines),
        "num_hashes": text.count("#"),
        "num_ellipses": text.count("...") + text.count("\u2026"),
    }
