"""corpus/extract/main_content/headings: what the words of short lines say, about themselves and about what stands under them.

A line such as "Read also" is furniture, and so is the list below it, as far as the element around both goes. Also finds lines
that a page repeats, and what comes before its main heading.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from whorl.core.kernels import kernel
from whorl.corpus.extract.main_content.figures import column
from whorl.corpus.extract.main_content.phrases import PHRASE_NAMES, PHRASES
from whorl.corpus.extract.main_content.surroundings import Named, Surroundings, is_in, named_bits
from whorl.text.html import START, STOP, Tree
from whorl.text.html_blocks import Blocks
from whorl.text.html_hints import hint_automaton, scan_hints

__all__ = ["heading_figures"]

_MAX_WORDS, _MAX_SHORT = 25, 10  # phrases of longer blocks are prose; those of short ones are what they are about
_UNDER = ("more", "latest", "share", "comment", "subscribe", "ad", "tags", "byline", "photo")


def heading_figures(tree: Tree, blocks: Blocks, around: Surroundings) -> list[Named]:
    """About fifty figures of each block."""
    words = column(blocks, "num_words")
    phrases = _phrases(tree, blocks, words)
    is_short = words <= _MAX_SHORT
    link = blocks.link_chars / column(blocks, "num_chars")
    is_title = is_in(around, "h1", "h2", "h3", "h4") | is_short & (phrases != 0) & (link < 0.5)
    main = np.flatnonzero(is_in(around, "h1"))
    places = np.arange(len(blocks))
    same = np.log(_num_same(blocks))
    above = phrases[_titles(is_title)] * _is_under(blocks, around, is_title)
    figures = {
        "is_plain_short": is_short & (phrases == 0),
        "same": same,
        "same_long": same * (words >= 5),
        "before_h1": places < (main[0] if len(main) else 0),
        "before_last_h1": places < (main[-1] if len(main) else 0),
        "no_h1": np.full(len(blocks), not len(main)),
    }
    return [
        Named(list(figures), np.column_stack(list(figures.values()))),
        named_bits("says ", phrases * is_short, PHRASE_NAMES),
        named_bits("mentions ", phrases * ~is_short, PHRASE_NAMES),
        named_bits("under ", above, PHRASE_NAMES, only=_UNDER),
    ]


def _phrases(tree: Tree, blocks: Blocks, words: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Bits of the phrases in each block that is not too long for them."""
    bits = np.zeros(len(blocks), dtype=np.int64)
    _scan(tree.data, tree.runs, (blocks.runs, blocks.of_run, words), _automaton(), bits)
    return bits


@kernel()
def _scan(data, runs, places, table, bits):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    shown, of_run, words = places
    for i in range(len(shown)):
        if words[of_run[i]] <= _MAX_WORDS:
            bits[of_run[i]] |= scan_hints(data, runs[shown[i], START], runs[shown[i], STOP], table)


@lru_cache(maxsize=1)
def _automaton() -> npt.NDArray[np.int64]:
    return hint_automaton(PHRASES, of_page=False)


def _titles(is_title: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """The last title line before each block; 0 where there is none."""
    last = np.maximum.accumulate(np.where(is_title, np.arange(len(is_title)), 0))
    return np.concatenate([np.zeros(1, dtype=np.int64), last[:-1]])


def _is_under(blocks: Blocks, around: Surroundings, is_title: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Whether a block is in the element that its title line's element stands in."""
    title = _titles(is_title)
    section = around.parent[blocks.element[title]]
    return is_title[title] & (np.arange(len(blocks)) < blocks.end[section]) & (np.arange(len(blocks)) > title)


def _num_same(blocks: Blocks) -> npt.NDArray[np.int64]:
    """How many blocks of the page have the text of each block."""
    looks = (column(blocks, "hash") << 20) + column(blocks, "num_chars")
    _, which, numbers = np.unique(looks, return_inverse=True, return_counts=True)
    return np.asarray(numbers[which], dtype=np.int64)
