"""text/html_render: chosen blocks of a page as plain text: blanks collapsed, paragraphs apart, preformatted text as it was.

Does not choose, and adds no markup beyond a dash or number before an item and a tab between cells.
"""

import numpy as np
import numpy.typing as npt

from whorl.core.kernels import inner, kernel
from whorl.text.html import IN_PRE, KIND, START, STOP, Tree
from whorl.text.html_blocks import Blocks
from whorl.text.html_elements import FLAGS, ORDINAL, PARENT, TAG
from whorl.text.html_facts import unescape
from whorl.text.html_names import CELL, ITEM, TAGS
from whorl.text.html_scan import is_space

__all__ = ["render"]

_JOINED, _TAB, _NEW_LINE, _NEW_PARAGRAPH = range(4)  # how a block is set apart from what is before
_DASH = -1  # in place of an item's number
_SPACE, _LF, _HT, _DOT, _MINUS, _ZERO = 32, 10, 9, 46, 45, 48
_MARK_BYTES = 16  # room for what comes before a block
_LI, _OL = TAGS["li"], TAGS["ol"]


def render(tree: Tree, blocks: Blocks, is_kept: npt.NDArray[np.bool_]) -> str:
    """The kept blocks: a blank line between paragraphs, one line per item, row or forced line."""
    kept = np.flatnonzero(is_kept)
    if not len(kept):
        return ""
    is_chosen = is_kept[blocks.of_run]
    runs, of_run = tree.runs[blocks.runs[is_chosen]], blocks.of_run[is_chosen]
    out = np.empty(int((runs[:, STOP] - runs[:, START]).sum()) + _MARK_BYTES * len(kept), dtype=np.uint8)
    size = _write(tree.data, runs, np.searchsorted(kept, of_run), _marks(tree.nodes, blocks, kept), out)
    return unescape(out[:size].tobytes().decode()).replace("\N{NO-BREAK SPACE}", " ").strip()


def _marks(nodes: npt.NDArray[np.int64], blocks: Blocks, kept: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each kept block, how it is set apart and the number before it: kept x 2."""
    element = blocks.element[kept]
    item = _items(nodes, element)
    parent, flags = nodes[element, PARENT], nodes[element, FLAGS]
    begins_item = (item > 0) & (item != _before(item))
    in_list = (item > 0) & (_before(item) > 0) | (flags & ITEM != 0) & (_before(flags) & ITEM != 0)
    in_row = (flags & CELL != 0) & (_before(flags) & CELL != 0) & (element != _before(element))
    apart = np.full(len(kept), _NEW_PARAGRAPH)
    apart[in_list | in_row | blocks.is_line[kept] & (element == _before(element))] = _NEW_LINE
    apart[in_row & (parent == _before(parent))] = _TAB
    apart[0] = _JOINED
    number = np.where(nodes[np.maximum(nodes[item, PARENT], 0), TAG] == _OL, nodes[item, ORDINAL], _DASH) * begins_item
    return np.column_stack([apart, number]).astype(np.int64)


def _before(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Each value's predecessor; 0 for the first."""
    return np.concatenate([np.zeros(1, dtype=values.dtype), values[:-1]])


def _items(nodes: npt.NDArray[np.int64], element: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The list item that an element is, or is directly in; 0 for none."""
    parent = np.maximum(nodes[element, PARENT], 0)
    inner = np.where(nodes[parent, TAG] == _LI, parent, 0)
    return np.asarray(np.where(nodes[element, TAG] == _LI, element, inner), dtype=np.int64)


@kernel()
def _write(data, runs, of_run, marks, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Write every run; returns the number of bytes."""
    size = 0
    block = -1
    for r in range(len(runs)):
        if of_run[r] != block:
            block = of_run[r]
            size = _set_apart(out, size, marks[block, 0], marks[block, 1])
        is_pre = runs[r, KIND] & IN_PRE != 0
        size = _copy(data, runs[r, START], runs[r, STOP], is_pre, out, size)
    return size


@inner
def _set_apart(out, size, apart, number):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Write what comes before a block: tab or new lines, dash or number."""
    while size > 0 and is_space(out[size - 1]):
        size -= 1
    if apart == _TAB:
        out[size] = _HT
        return size + 1
    for _ in range(apart - _TAB):
        out[size] = _LF
        size += 1
    if number > 0:
        digits = 1
        while 10**digits <= number:
            digits += 1
        for k in range(digits):
            out[size + k] = _ZERO + number // 10 ** (digits - 1 - k) % 10
        size += digits
    if number != 0:
        out[size] = _DOT if number > 0 else _MINUS
        out[size + 1] = _SPACE
        size += 2
    return size


@inner
def _copy(data, i, end, is_pre, out, size):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Copy one run, each stretch of blanks as one space unless preformatted; control characters are left out."""
    while i < end:
        byte = data[i]
        if is_space(byte):
            if is_pre:
                out[size] = byte
                size += byte != 13
            elif size > 0 and not is_space(out[size - 1]):
                out[size] = _SPACE
                size += 1
        elif byte >= _SPACE and byte != 127:
            out[size] = byte
            size += 1
        i += 1
    return size
