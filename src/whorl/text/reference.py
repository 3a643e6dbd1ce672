"""text/reference: words and their counts in plain Python: the definition the compiled kernel is proved equal to.

Slow on purpose and not used at run time. Words are maximal runs of letters, numbers, marks and connectors, joined across a
single apostrophe or full stop, and between digits also across a comma, colon or slash; ideographs and hiragana stand alone.
Every character that is neither in a word nor a space is a token of its own, except that stops, dashes, slashes and bars come in
runs.
"""

import re
from typing import NamedTuple

from whorl.text.characters import CLASS_MASK, FORMAT, IDEOGRAPH, JOINS_NUMBERS_BIT, JOINS_WORDS_BIT, LETTER, character_tables

__all__ = ["ReferenceToken", "reference_counts", "reference_tokens"]

_LETTERS_OF_CLASSES = "OSNLDMFIOR"  # other space newline letter digit mark format ideograph apostrophe rule
_JOINING = {
    ("O", JOINS_WORDS_BIT): "A",
    ("R", JOINS_WORDS_BIT): "P",
    ("O", JOINS_NUMBERS_BIT): "C",
    ("R", JOINS_NUMBERS_BIT): "H",
}
_TOKEN = re.compile(
    r"(?P<word>[LDM][LDMF]*(?:(?:[AP]|(?<=D)[CH](?=D))[LDM][LDMF]*)*)"  # don't, example.com, 3rd, snake_case, 1,000
    r"|(?P<ideograph>I[MF]*)"
    r"|(?P<punctuation>[OAC][MF]*|[RPH][RPHMF]*)"
)
_MASK_64 = (1 << 64) - 1


class ReferenceToken(NamedTuple):
    """A word or a mark of punctuation, in characters of the text."""

    start: int
    end: int
    is_word: bool
    is_alphabetic: bool
    hash: int


def reference_tokens(text: str) -> list[ReferenceToken]:
    """Words and punctuation of a text, in order."""
    drawn = "".join(_drawn(int(character_tables().classes[ord(c)])) for c in text)
    return [_token(text, match) for match in _TOKEN.finditer(drawn)]


def _drawn(flags: int) -> str:
    letter = _LETTERS_OF_CLASSES[flags & CLASS_MASK]
    return _JOINING.get((letter, flags & (JOINS_WORDS_BIT | JOINS_NUMBERS_BIT)), letter)


def _token(text: str, match: re.Match[str]) -> ReferenceToken:
    tables = character_tables()
    points = [ord(c) for c in text[match.start() : match.end()]]
    code = 0xCBF29CE484222325
    for point in points:
        if tables.classes[point] & CLASS_MASK != FORMAT:
            code = ((code ^ int(tables.lower[point])) * 0x100000001B3) & _MASK_64
    code ^= code >> 32
    code = (code * 0xD6E8FEB86659FD93) & _MASK_64
    code ^= code >> 32
    is_alphabetic = any(tables.classes[p] & CLASS_MASK in (LETTER, IDEOGRAPH) for p in points)
    return ReferenceToken(match.start(), match.end(), match.lastgroup != "punctuation", is_alphabetic, code)


def reference_counts(text: str) -> dict[str, int]:
    """What whorl.text.words counts in one text."""
    tokens = reference_tokens(text)
    words = [token for token in tokens if token.is_word]
    return {
        "num_chars": len(text),
        "num_tokens": len(tokens),
        "num_words": len(words),
        "num_word_chars": sum(token.end - token.start for token in words),
        "num_alphabetic_words": sum(token.is_alphabetic for token in words),
        "num_hashes": text.count("#"),
        "num_ellipses": text.count("...") + text.count("\u2026"),
    }
