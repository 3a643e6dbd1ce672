"""text/reference_lines: lines and sentences in plain Python: the definition the compiled kernel is proved equal to.

Slow on purpose and not used at run time. A sentence ends at a character with the property Sentence_Terminal when white space
comes before the next letter or digit; an ASCII full stop not if it stands beside another one or after an abbreviation or a
single letter. A full stop between a small and a capital letter ends one without white space, and so does every terminal outside
ASCII: their scripts have none.
"""

import re
from typing import NamedTuple

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
from whorl.text.lines import ABBREVIATIONS, BLANK, BULLET, CURLY, ELLIPSIS, PHRASES, TERMINAL

__all__ = ["ReferenceLine", "reference_lines", "reference_sentences"]

_LETTERS_BEFORE = re.compile(r"[A-Za-z]+\Z")
_SENTENCE_BREAK = re.compile(r"[^w]*(?:P[^w]*S|E)[^w]*(?=w)")  # drawn: word character, Possible end, End, white Space


class ReferenceLine(NamedTuple):
    """Columns of whorl.text.lines of one line."""

    text: str
    chars: int
    words: int
    sentences: int
    last: int
    flags: int


def reference_lines(text: str) -> list[ReferenceLine]:
    """Lines of a text, in order."""
    return [_line(line) for line in text.splitlines()]


def _line(line: str) -> ReferenceLine:
    classes = character_tables().classes
    words = "".join(" " if classes[ord(c)] & CLASS_MASK == SPACE else c for c in line).split(" ")
    words = [word for word in words if word]
    flags = _flags(line, words)
    last = ord(words[-1][-1]) if words else 0
    return ReferenceLine(line, len(line), len(words), reference_sentences(line), last, flags)


def _flags(line: str, words: list[str]) -> int:
    classes = character_tables().classes
    flags = 0
    if not words:
        return BLANK
    lowered = "".join(c.lower() if c.isascii() else c for c in line)
    for phrase, (bit, _) in PHRASES.items():
        flags |= bit if phrase in lowered else 0
    flags |= BULLET if classes[ord(words[0][0])] & BULLET_BIT else 0
    flags |= ELLIPSIS if words[-1].endswith(("...", "\u2026")) else 0
    flags |= TERMINAL if classes[ord(line[-1])] & TERMINAL_BIT else 0
    return flags | (CURLY if "{" in line else 0)


def reference_sentences(line: str) -> int:
    """Sentences of a line without line breaks: 0 if there is nothing but white space."""
    drawn = "".join(_drawn(line, place) for place in range(len(line)))
    if not drawn.strip("S"):
        return 0
    tight = sum(_may_end(line, dot.start()) for dot in re.finditer(r"(?<=[a-z])\.(?=[A-Z])", line))
    return 1 + len(_SENTENCE_BREAK.findall(drawn)) + tight


def _drawn(line: str, place: int) -> str:
    kind = int(character_tables().classes[ord(line[place])])
    if kind & CLASS_MASK in (LETTER, NUMBER, MARK, IDEOGRAPH):
        return "w"
    if kind & CLASS_MASK in (SPACE, NEWLINE):
        return "S"
    if not kind & TERMINAL_BIT or (line[place] == "." and not _may_end(line, place)):
        return "-"
    return "P" if line[place].isascii() else "E"


def _may_end(line: str, place: int) -> bool:
    """Whether a full stop may end a sentence."""
    if "." in (line[place - 1 : place], line[place + 1 : place + 2]):
        return False
    letters = _LETTERS_BEFORE.search(line, 0, place)
    return letters is None or (len(letters[0]) > 1 and letters[0] not in ABBREVIATIONS)
