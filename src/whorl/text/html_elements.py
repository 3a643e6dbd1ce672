"""text/html_elements: the stack of open elements: what begins, what ends, and what ends without being told.

Compiled, for text/html alone. The rules are those of https://html.spec.whatwg.org/multipage/parsing.html for paragraphs,
headings, items and tables; formatting elements are never reopened. Depth is bounded, so every search is.
"""

from whorl.core.kernels import inner
from whorl.text.html_names import BLOCK, CELL, CLOSES_P, HEADING, ITEM, ROW, SCOPE, SECTION, TAGS

__all__ = [
    "ATTRIBUTE_FLAGS",
    "ATTRIBUTE_HINTS",
    "END",
    "END_RUN",
    "FIRST_RUN",
    "FLAGS",
    "GAP",
    "HAS_NO_END",
    "HINTS",
    "LINK",
    "MAX_DEPTH",
    "NODE_COLUMNS",
    "NO_COMMENT",
    "NUM_MARKS",
    "NUM_NODES",
    "NUM_OPEN",
    "NUM_RUNS",
    "ORDINAL",
    "PARENT",
    "STACK",
    "TAG",
    "TOP",
    "WORK",
    "end_element",
    "end_implied",
    "pop",
    "push",
]

MAX_DEPTH = 256  # deeper elements become text of the deepest one; browsers stop at 512

# Columns of the nodes: elements in the order they begin; node 0 is the document, a subtree is the nodes i to END[i].
PARENT, TAG, FLAGS, HINTS, END, FIRST_RUN, END_RUN, ORDINAL = range(8)  # ORDINAL: of a list item in its list, from 1
NODE_COLUMNS = 8

# Places in the tokenizer's memory, one vector: single values, then tables.
NUM_NODES, NUM_RUNS, NUM_MARKS, TOP, GAP, LINK, NO_COMMENT, ATTRIBUTE_HINTS, ATTRIBUTE_FLAGS = range(9)
STACK = 16  # open elements, outermost first; TOP is the last
ITEMS = STACK + MAX_DEPTH  # list items so far in each of them
NUM_OPEN = ITEMS + MAX_DEPTH  # open elements of each tag
HAS_NO_END = NUM_OPEN + len(TAGS)  # of each tag: whether its end tag was sought in vain
WORK = HAS_NO_END + len(TAGS)

_P, _LI, _TABLE, _UL, _OL, _DL = (TAGS[name] for name in ("p", "li", "table", "ul", "ol", "dl"))
_TABLE_PARTS = CELL | ROW | SECTION
_EVERYWHERE = (_TABLE, TAGS["body"], TAGS["html"])


@inner
def push(nodes, work, tag, flags, hints):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """Begin an element inside the innermost open one. There must be room on the stack."""
    n, top = work[NUM_NODES], work[TOP]
    nodes[n, PARENT] = work[STACK + top] if top >= 0 else -1
    nodes[n, TAG], nodes[n, FLAGS], nodes[n, HINTS] = tag, flags, hints
    nodes[n, FIRST_RUN], nodes[n, ORDINAL] = work[NUM_RUNS], 0
    if tag == _LI:
        work[ITEMS + top] += 1
        nodes[n, ORDINAL] = work[ITEMS + top]
    work[STACK + top + 1] = n
    work[ITEMS + top + 1] = 0
    work[NUM_OPEN + tag] += 1
    work[TOP] = top + 1
    work[NUM_NODES] = n + 1


@inner
def pop(nodes, work, k):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """End every open element from place k of the stack on."""
    while work[TOP] >= k:
        n = work[STACK + work[TOP]]
        nodes[n, END] = work[NUM_NODES]
        nodes[n, END_RUN] = work[NUM_RUNS]
        work[NUM_OPEN + nodes[n, TAG]] -= 1
        work[TOP] -= 1
    if work[LINK] > work[TOP] + 1:  # the link began in what has ended
        work[LINK] = 0


@inner
def end_element(nodes, work, tag, flags):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """Obey an end tag: close the nearest such element, unless an end tag of its kind cannot reach so far."""
    if work[NUM_OPEN + tag] == 0:
        return
    barrier = SCOPE if flags & BLOCK else BLOCK
    if flags & _TABLE_PARTS or tag in _EVERYWHERE:
        barrier = 0
    _close(nodes, work, tag, 0, barrier)


@inner
def end_implied(nodes, work, flags):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """Before an element with these flags begins, close what cannot contain it: paragraphs, headings, items, cells, rows."""
    if flags & CLOSES_P and work[NUM_OPEN + _P]:
        _close(nodes, work, _P, 0, BLOCK)
    if flags & HEADING:
        _close(nodes, work, -1, HEADING, BLOCK)
    elif flags & ITEM:
        _close_item(nodes, work)
    elif flags & _TABLE_PARTS and work[NUM_OPEN + _TABLE]:
        _close_parts(nodes, work, flags & _TABLE_PARTS)


@inner
def _close(nodes, work, tag, flags, barrier):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Close the nearest element of a tag or with a flag, unless one with a barrier flag is nearer."""
    k = work[TOP]
    while k > 0:
        n = work[STACK + k]
        if nodes[n, TAG] == tag or nodes[n, FLAGS] & flags:
            pop(nodes, work, k)
            return
        if nodes[n, FLAGS] & barrier:
            return
        k -= 1


@inner
def _close_item(nodes, work):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Close an open item of the same list."""
    k = work[TOP]
    while k > 0:
        n = work[STACK + k]
        if nodes[n, FLAGS] & ITEM:
            pop(nodes, work, k)
            return
        if nodes[n, TAG] in (_UL, _OL, _DL) or nodes[n, FLAGS] & SCOPE:
            return
        k -= 1


@inner
def _close_parts(nodes, work, part):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Close the open parts of the innermost table that are no larger than the one that begins."""
    k = work[TOP]
    last = k + 1
    while k > 0 and nodes[work[STACK + k], TAG] != _TABLE:
        if nodes[work[STACK + k], FLAGS] & _TABLE_PARTS & (2 * part - 1):
            last = k
        k -= 1
    pop(nodes, work, last)
