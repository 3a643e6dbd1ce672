"""text/wikitext_lines: the lines of a page whose brackets are resolved, as paragraphs, headings and lists without markup.

Second pass of text/wikitext; knows nothing of templates, links or tags. A GAP stands where something was dropped, so that the
spaces and commas around it can be closed; a BREAK is an end of line that was asked for.
"""

import re
from collections.abc import Iterator
from html import unescape
from itertools import groupby
from typing import NamedTuple

__all__ = ["BREAK", "GAP", "readable"]

GAP = "\x01"
BREAK = "\x04"
_EMPTY = f" \t{BREAK}"

# Possessive (*+): an address without its closing bracket is read once, not once per character.
_OUTSIDE_LINK = re.compile(
    r"\[(?:(?:https?:|ftp:|irc:)?//|news:|mailto:)[^\s\[\]<>\"]++[ \t]*+([^\[\]\n]*+)\]",
)
_MAGIC_WORD = re.compile(r"__[A-Z]{3,}__")
_VARIANT = re.compile(r"-\{(?:[^{}|]*\|)?([^{}]*)\}-")
_QUOTES = re.compile(r"'{2,}")
_HEADING = re.compile(r"(={1,6})(.+?)\1[\s\x01]*$")
_RULE = re.compile(r"-{4,}")
_MARKS = re.compile(r"[*#:;]+[ \t]*")
_DOUBLE = re.compile(r"  |\t|\u00a0")
_SPACES = re.compile(r"[ \t\u00a0\u2009\u202f]{2,}|[\t\u00a0]")

_BEFORE_POINTS = frozenset(".,;:!?])")
_SEPARATORS = " ,;:/"


class _Line(NamedTuple):
    kind: str  # text, item, heading, blank
    text: str
    level: int = 0


def readable(text: str, dropped_sections: frozenset[str]) -> str:
    """Blocks parted by blank lines; items of a list are lines of one block, marked "- "."""
    text = _MAGIC_WORD.sub("", _OUTSIDE_LINK.sub(lambda link: link.group(1) or GAP, text))
    if "-{" in text:
        text = _VARIANT.sub(lambda variant: _first_variant(variant.group(1)), text)
    if "&" in text:
        text = unescape(text)
    lines = [_line(line) for line in text.split("\n")]
    return "\n\n".join(_blocks(_without_empty_sections(_without_sections(lines, dropped_sections))))


def _first_variant(choices: str) -> str:
    """`zh-hans:A; zh-hant:B` is A: a page is written in one script."""
    first = choices.partition(";")[0]
    return first.rpartition(":")[2].strip() if ";" in choices else choices


def _line(line: str) -> _Line:
    first = line[:1]
    if first == "=" and (heading := _HEADING.match(line)):
        return _Line("heading", _closed(heading.group(2)), len(heading.group(1)))
    if first in ("*", "#", ":", ";"):
        return _listed(line)
    if first == "|" or line.startswith(("{|", "----")):
        line = _RULE.sub("", line, count=1) if first == "-" else ""  # cells of a table whose brackets came from templates
    shown = _closed(line)
    return _Line("text", shown + BREAK if first == " " else shown) if shown else _Line("blank", "")


def _listed(line: str) -> _Line:
    marks = _MARKS.match(line)
    assert marks is not None, "the caller saw a mark"
    shown = _closed(line[marks.end() :])
    if not shown:
        return _Line("blank", "")
    if line[0] == ";":
        return _Line("item", shown.replace(" : ", ": ", 1))
    return _Line("item", f"- {shown}" if marks.group().rstrip()[-1] in "*#" else shown)


def _closed(line: str) -> str:
    """A line without quote marks, gaps and doubled spaces."""
    if "''" in line:
        line = _unquoted(line)
    if GAP in line:
        line = _joined(line.split(GAP))
    if _DOUBLE.search(line):
        line = _SPACES.sub(" ", line)
    line = line.strip(" \t")
    return line if line.strip(_EMPTY) else ""


def _joined(pieces: list[str]) -> str:
    """Pieces with gaps between them, closed up: no space before a point, no bracket that holds nothing but commas."""
    done = [pieces[0]]
    was_space = False  # between the gaps of one hole
    for number, piece in enumerate(pieces[1:], start=2):
        if piece.strip(" ") or number == len(pieces):
            sides = _closed_up(done.pop() if done else "", piece, has_space=was_space)
            done += [side for side in sides if side]  # an empty one would hide the bracket before it
            was_space = False
        else:
            was_space = was_space or bool(piece)
    return "".join(done)


def _closed_up(left: str, right: str, *, has_space: bool) -> tuple[str, str]:
    """What stands on either side of a hole, as it reads without it."""
    before, after = left.rstrip(" "), right.lstrip(" ")
    has_space = has_space or before != left or after != right
    if before.endswith("("):
        after = after.lstrip(_SEPARATORS)
    elif after.startswith(")"):
        before = before.rstrip(_SEPARATORS)
    if before.endswith("(") and after.startswith(")"):
        before, after, has_space = before[:-1].rstrip(" "), after[1:].lstrip(" "), True
    is_tight = not has_space or before.endswith("(") or after[:1] in _BEFORE_POINTS
    return (before if is_tight else f"{before} "), after


def _unquoted(line: str) -> str:
    """Without marks of bold and italic. Quotes beyond five are text, and so is one of four."""
    runs = list(_QUOTES.finditer(line))
    lengths = [len(run.group()) for run in runs]
    num_bold = sum(length != 2 for length in lengths)
    num_italic = sum(length == 2 or length >= 5 for length in lengths)
    apostrophe = _apostrophe(line, runs) if num_bold % 2 and num_italic % 2 else -1
    return _QUOTES.sub(lambda run: "'" * (1 if run.start() == apostrophe else _spare(len(run.group()))), line)


def _spare(length: int) -> int:
    """Quotes of a run that are text."""
    return 1 if length == 4 else max(0, length - 5)


def _apostrophe(line: str, runs: list[re.Match[str]]) -> int:
    """Where bold and italic do not pair up, a run of three is an apostrophe and italic; this is where it begins, or -1.

    As in MediaWiki: after a single letter (l'''Iliade''), else after another letter, else the first.
    """
    threes = [run.start() for run in runs if len(run.group()) == 3]
    after_letter = [start for start in threes if line[max(0, start - 1) : start].strip()]
    single = [start for start in after_letter if not line[max(0, start - 2) : start - 1].strip()]
    return next(iter(single or after_letter or threes), -1)


def _without_sections(lines: list[_Line], dropped: frozenset[str]) -> Iterator[_Line]:
    """Lines outside sections of those names."""
    until = 0  # level at which a dropped section ends; 0: none is being dropped
    for line in lines:
        if line.kind == "heading" and (not until or line.level <= until):
            until = line.level if line.text.casefold().strip(" :.") in dropped else 0
        if not until:
            yield line


def _without_empty_sections(lines: Iterator[_Line]) -> list[_Line]:
    """Lines without headings that have nothing below them."""
    kept: list[_Line] = []
    shallowest = 0  # of the headings met since the last text, from the end; 0: text follows directly
    has_text = False
    for line in reversed(list(lines)):
        if line.kind == "heading":
            is_full = has_text or bool(shallowest and shallowest > line.level)
            if not (is_full and line.text):
                continue
            shallowest, has_text = line.level, False
        elif line.kind != "blank":
            has_text = True
        kept.append(line)
    return kept[::-1]


def _blocks(lines: list[_Line]) -> Iterator[str]:
    """Paragraphs, headings and lists. Lines of a paragraph follow each other unless a BREAK parts them."""
    for kind, group in groupby(lines, key=lambda line: line.kind):
        texts = [line.text for line in group]
        if kind == "text":
            yield "\n".join(_parts(" ".join(texts)))
        elif kind == "item":
            yield "\n".join(" ".join(_parts(text)) for text in texts)
        elif kind == "heading":
            yield from (" ".join(_parts(text)) for text in texts)


def _parts(text: str) -> list[str]:
    """What stands between BREAKs."""
    return [part for part in (part.strip() for part in text.split(BREAK)) if part]
