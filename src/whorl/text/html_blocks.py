"""text/html_blocks: the lines a reader would see on a page: runs of text between two breaks, with counts and elements.

Leaves out what no reader sees: scripts and the like, and what is marked as hidden unless that is half the page (some pages hide
themselves until a script has run). Judges nothing else.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from whorl.core.kernels import kernel
from whorl.text.html import BREAK, FIRST_COUNT, IN_LINK, KIND, LINE, NODE, SKIPPED, Tree
from whorl.text.html_elements import END_RUN, FIRST_RUN, FLAGS, HINTS, PARENT
from whorl.text.html_hints import HIDDEN
from whorl.text.html_names import BLOCK
from whorl.text.html_scan import COUNTS

__all__ = ["Blocks", "blocks_of", "coarser", "inherited", "outermost"]

_CHARS, _LAST, _HASH = COUNTS.index("num_chars"), COUNTS.index("last"), COUNTS.index("hash")
_MAX_HIDDEN = 0.5  # of a page's characters


class Blocks(NamedTuple):
    """Blocks in order. An element's blocks are `first[element]` to `end[element]`."""

    runs: npt.NDArray[np.int64]  # places of the runs that are shown
    of_run: npt.NDArray[np.int64]  # the block of each of those
    node: npt.NDArray[np.int64]  # innermost element around the beginning of each block
    element: npt.NDArray[np.int64]  # innermost block element there
    counts: npt.NDArray[np.int64]  # blocks x COUNTS
    link_chars: npt.NDArray[np.int64]
    is_line: npt.NDArray[np.bool_]  # begins after a mere line break
    first: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.node)


def blocks_of(tree: Tree) -> Blocks:
    """The blocks of a page that hold anything but blanks."""
    shown = _shown(tree)
    runs = tree.runs[shown]
    number = np.cumsum(tree.runs[:, KIND] & (LINE | BREAK) != 0)[shown]
    # Renumber without gaps: a block is told from the one before it by its number, and must hold a character.
    _, dense = np.unique(number, return_inverse=True)
    num_chars = np.bincount(dense, runs[:, FIRST_COUNT + _CHARS]) if len(runs) else np.zeros(0)
    is_full = num_chars[dense] > 0
    shown, runs = shown[is_full], runs[is_full]
    _, begins, of_run = np.unique(dense[is_full], return_index=True, return_inverse=True)
    counts = np.zeros((len(begins), len(COUNTS)), dtype=np.int64)
    if len(begins):
        counts[:] = np.add.reduceat(runs[:, FIRST_COUNT:].astype(np.int64), begins)
    return Blocks(
        shown,
        of_run,
        runs[begins, NODE].astype(np.int64),
        _block_elements(tree)[runs[begins, NODE]],
        _with_last(counts, runs, of_run),
        np.bincount(of_run, runs[:, FIRST_COUNT + _CHARS] * (runs[:, KIND] & IN_LINK != 0), len(begins)).astype(np.int64),
        runs[begins, KIND] & LINE != 0,
        np.searchsorted(shown[begins], tree.nodes[:, FIRST_RUN]),
        np.searchsorted(shown[begins], tree.nodes[:, END_RUN]),
    )


def coarser(blocks: Blocks, by: int) -> Blocks:
    """Every `by` neighbouring blocks as one, so that the largest page can be judged in bounded memory."""
    begins = np.arange(0, len(blocks), by)
    counts = np.add.reduceat(blocks.counts, begins)
    counts[:, _LAST] = blocks.counts[np.minimum(begins + by, len(blocks)) - 1, _LAST]
    return Blocks(
        blocks.runs,
        blocks.of_run // by,
        blocks.node[begins],
        blocks.element[begins],
        counts,
        np.add.reduceat(blocks.link_chars, begins),
        blocks.is_line[begins],
        blocks.first // by,
        -(-blocks.end // by),
    )


@kernel()
def inherited(parent, own):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """For each element, the bits of its own and of everything around it; `own` is elements x any number of words of bits."""
    bits = own.copy()
    for i in range(1, len(parent)):
        for k in range(own.shape[1]):
            bits[i, k] |= bits[parent[i], k]
    return bits


@kernel()
def outermost(parent, is_one):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """For each element, the outermost element around it, or itself, that is one of some; 0 where there is none."""
    found = np.zeros(len(parent), dtype=np.int64)
    for i in range(1, len(parent)):
        found[i] = found[parent[i]]
        if found[i] == 0 and is_one[i]:
            found[i] = i
    return found


def _shown(tree: Tree) -> npt.NDArray[np.int64]:
    """Places of the runs that a reader sees."""
    nodes = tree.nodes
    before = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(tree.runs[:, FIRST_COUNT + _CHARS], dtype=np.int64)])
    num_chars = before[nodes[:, END_RUN]] - before[nodes[:, FIRST_RUN]]
    is_hidden = (nodes[:, HINTS] >> HIDDEN & 1 != 0) & (num_chars < _MAX_HIDDEN * before[-1])
    is_off = (nodes[:, HINTS] >> SKIPPED & 1 != 0) | is_hidden
    edges = np.zeros(len(tree.runs) + 1, dtype=np.int64)
    np.add.at(edges, nodes[is_off, FIRST_RUN], 1)
    np.add.at(edges, nodes[is_off, END_RUN], -1)
    return np.flatnonzero(np.cumsum(edges[:-1]) == 0)


def _block_elements(tree: Tree) -> npt.NDArray[np.int64]:
    """For each element itself if it is a block element, else the nearest one around it."""
    is_block = tree.nodes[:, FLAGS] & BLOCK != 0
    found = np.arange(len(tree.nodes))
    open_ones = np.flatnonzero(~is_block)
    while len(open_ones):
        found[open_ones] = tree.nodes[found[open_ones], PARENT]
        found[found < 0] = 0
        open_ones = open_ones[~is_block[found[open_ones]] & (found[open_ones] > 0)]
    return found


def _with_last(
    counts: npt.NDArray[np.int64], runs: npt.NDArray[np.int32], of_run: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Counts whose last byte is that of the last run that has one, instead of a sum."""
    has_text = runs[:, FIRST_COUNT + _CHARS] > 0
    counts[of_run[has_text], _LAST] = runs[has_text, FIRST_COUNT + _LAST]
    return counts
