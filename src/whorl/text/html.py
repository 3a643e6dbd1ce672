"""text/html: a page as flat arrays of elements and runs of text, made in one compiled pass over its UTF-8.

Follows the parsing rules of https://html.spec.whatwg.org/multipage/parsing.html where they change the text: void elements,
implied ends, raw text, comments, links that were never closed. Does not reopen formatting elements, move what is misplaced in
tables, run scripts or read style sheets. Time and memory are linear in the page whatever it holds: depth is bounded, searches
never repeat.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from whorl.core.kernels import inner, kernel
from whorl.text.html_elements import (
    ATTRIBUTE_FLAGS,
    ATTRIBUTE_HINTS,
    GAP,
    HAS_NO_END,
    LINK,
    MAX_DEPTH,
    NO_COMMENT,
    NODE_COLUMNS,
    NUM_MARKS,
    NUM_NODES,
    NUM_OPEN,
    NUM_RUNS,
    STACK,
    TOP,
    WORK,
    end_element,
    end_implied,
    pop,
    push,
)
from whorl.text.html_names import BLOCK, MARK, RAW, SKIP, TAGS, VOID, name_table
from whorl.text.html_scan import COUNTS, after, after_comment, byte_classes, count_text, is_letter, raw_end
from whorl.text.html_tags import HAS_HREF, IS_LD_JSON, IS_LICENCE, read_attributes, read_name

__all__ = [
    "BREAK",
    "FIRST_COUNT",
    "IN_LINK",
    "IN_PRE",
    "KIND",
    "LINE",
    "MARK_END",
    "MARK_INNER",
    "MARK_START",
    "MARK_TAG",
    "NODE",
    "SKIPPED",
    "START",
    "STOP",
    "Tree",
    "parse",
]

SKIPPED = 62  # bit of a node's hints: its text is not text of the page

# Columns of the runs: stretches of text without a tag inside, in order; then the COUNTS of text/html_scan.
START, STOP, NODE, KIND, FIRST_COUNT = range(5)
# Bits of a run's KIND.
LINE, BREAK = 1, 2  # it begins a new line; or a new block
IN_LINK, IN_PRE = 4, 8
# Columns of the marks, tags that metadata is read from: places where the tag begins and ends, and where raw content ends.
MARK_TAG, MARK_START, MARK_INNER, MARK_END = range(4)

_IS_SKIPPED = 1 << SKIPPED
_LT, _GT, _SLASH, _BANG, _QUESTION = 60, 62, 47, 33, 63
_A, _BR, _PRE, _SCRIPT, _STYLE, _BODY, _HTML = (TAGS[name] for name in ("a", "br", "pre", "script", "style", "body", "html"))


class Tree(NamedTuple):
    """A parsed page: the bytes, and tables whose columns are named above and in text/html_elements."""

    data: npt.NDArray[np.uint8]
    nodes: npt.NDArray[np.int64]
    runs: npt.NDArray[np.int32]
    marks: npt.NDArray[np.int32]


def parse(data: npt.NDArray[np.uint8], hints: npt.NDArray[np.int64]) -> Tree:
    """The page in `data` (valid UTF-8, below 2 GB), with the hints of a `hint_automaton`."""
    assert len(data) < 2**31, "places are 32 bits wide"
    room = int(np.count_nonzero(data == _LT)) + 2
    nodes = np.empty((room, NODE_COLUMNS), np.int64)
    runs = np.zeros((room, FIRST_COUNT + len(COUNTS)), np.int32)
    marks = np.empty((room, 4), np.int32)
    work = np.zeros(WORK, np.int64)
    _build((data, byte_classes(), name_table(), hints), nodes, runs, marks, work)
    return Tree(data, nodes[: work[NUM_NODES]], runs[: work[NUM_RUNS]], marks[: work[NUM_MARKS]])


@kernel()
def _build(source, nodes, runs, marks, work):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    data, classes, names, hints = source
    work[TOP] = -1
    push(nodes, work, 0, 0, 0)
    work[GAP] = BREAK
    i, end = 0, len(data)
    while i < end:
        behind = i
        if data[i] == _LT and i + 1 < end:
            if is_letter(data[i + 1]):
                behind = _start_tag(data, i, (names, hints), nodes, marks, work)
            else:
                behind = _other_markup(data, i, names, nodes, work)
        i = behind if behind > i else _text(data, i, classes, runs, work)
    pop(nodes, work, 0)


@inner
def _other_markup(data, i, names, nodes, work):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Where the end tag or comment at byte i ends; i if there is none."""
    mark = data[i + 1]
    if mark == _SLASH and i + 2 < len(data):
        return _end_tag(data, i, names, nodes, work) if is_letter(data[i + 2]) else after(data, i + 2, _GT)
    if mark == _BANG:
        found = -1 if work[NO_COMMENT] else after_comment(data, i)
        if found < 0:
            work[NO_COMMENT] = 1
        return found if found >= 0 else after(data, i + 2, _GT)
    return after(data, i + 2, _GT) if mark == _QUESTION else i


@inner
def _text(data, i, classes, runs, work):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Take the run that begins at byte i; returns where it ends."""
    n = work[NUM_RUNS]
    row = runs[n]
    end = count_text(data, i, classes, row[FIRST_COUNT:])
    is_pre = work[NUM_OPEN + _PRE] > 0
    if row[FIRST_COUNT] == 0 and work[GAP] and not is_pre:
        return end  # blanks between blocks
    row[START], row[STOP] = i, end
    row[NODE] = work[STACK + work[TOP]]
    row[KIND] = work[GAP] | IN_LINK * (work[LINK] > 0) | IN_PRE * is_pre
    work[GAP] = 0
    work[NUM_RUNS] = n + 1
    return end


@inner
def _start_tag(data, i, tables, nodes, marks, work):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Take the start tag at byte i, with its content if that is raw; returns where to go on."""
    names, hint_table = tables
    name_end, numbers = read_name(data, i + 1, names)
    tag, flags = numbers & 0xFF, numbers >> 16
    inner = read_attributes(data, name_end, names, hint_table, work)
    end = _raw(data, (i + 1, name_end, inner), tag, work) if flags & RAW else inner
    if flags & MARK:
        _mark(marks, work, tag, (i, inner, end))
    if tag in (_BODY, _HTML) and work[NUM_OPEN + tag]:
        return inner
    end_implied(nodes, work, flags)
    _break(work, tag, flags)
    if tag == _A:
        work[LINK] = (work[TOP] + 1) * (work[ATTRIBUTE_FLAGS] & HAS_HREF)
    if flags & (VOID | RAW) == 0 and work[TOP] < MAX_DEPTH - 1:
        push(nodes, work, tag, flags, work[ATTRIBUTE_HINTS] | _IS_SKIPPED * (flags & SKIP != 0))
    return end


@inner
def _end_tag(data, i, names, nodes, work):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    name_end, numbers = read_name(data, i + 2, names)
    tag, flags = numbers & 0xFF, numbers >> 16
    _break(work, tag, flags)
    if tag == _A:
        work[LINK] = 0
    if flags & VOID == 0:
        end_element(nodes, work, tag, flags)
    return after(data, name_end, _GT)


@inner
def _break(work, tag, flags):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    if flags & BLOCK:
        work[GAP] = BREAK
    elif tag == _BR and work[GAP] == 0:
        work[GAP] = LINE


@inner
def _raw(data, tag_places, tag, work):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Where raw content ends: before its end tag; without one, at the end for scripts and styles, and nowhere for others."""
    name, name_end, inner = tag_places
    end = -1 if work[HAS_NO_END + tag] else raw_end(data, inner, name, name_end)
    if end >= 0:
        return end
    work[HAS_NO_END + tag] = 1
    return len(data) if tag in (_SCRIPT, _STYLE) else inner


@inner
def _mark(marks, work, tag, places):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    hints = work[ATTRIBUTE_HINTS]
    if (tag == _SCRIPT and hints & IS_LD_JSON == 0) or (tag == _A and hints & IS_LICENCE == 0):
        return
    row = marks[work[NUM_MARKS]]
    row[MARK_TAG] = tag
    row[MARK_START], row[MARK_INNER], row[MARK_END] = places
    work[NUM_MARKS] += 1
