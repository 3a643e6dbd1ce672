"""corpus/extract/main_content/surroundings: where a block stands in the tree of its page.

Tags and hints of the elements around it, the share of the page's prose in them, how much of them is links, how often they
repeat. What an element is called counts for the blocks inside only while the element is small: `sidebar` on a wrapper around
everything says nothing about the article in it.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from whorl.corpus.extract.main_content.figures import column
from whorl.corpus.extract.main_content.hints import HINT_NAMES
from whorl.text.html import Tree
from whorl.text.html_blocks import Blocks, inherited, outermost
from whorl.text.html_elements import HINTS, PARENT, TAG
from whorl.text.html_names import TAGS

__all__ = ["Named", "Surroundings", "bits_of", "is_in", "named_bits", "surroundings_of", "tree_figures"]

_SMALL = 0.4  # of the page's prose
_LEVELS = (1, 2, 3, 4)
_KINDS: Mapping[str, Sequence[str]] = {
    **{tag: (tag,) for tag in ("a", "address", "article", "aside", "blockquote", "caption", "center", "cite", "dd",
        "details", "dialog",
                               "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3",
                               "header",
                               "label", "li", "main", "ol", "p", "pre", "section", "small", "table", "td", "th", "time", "ul")},
    "h4": ("h4", "h5", "h6"),
    "bold": ("b", "strong"),
    "italic": ("i", "em"),
    "nav": ("nav", "menu"),
}  # fmt: skip
_KIND_NAMES = tuple(_KINDS)
_WIDE_KINDS = ("article", "main", "aside", "footer", "header", "form", "table", "section")
_WIDE_HINTS = ("article_body", "main", "article", "text", "comment", "related", "sidebar")
# Publishing systems list an article's whole filing on its element; there, other names mean nothing.
_ARTICLE_HINTS = ("article_body", "main", "article", "text", "comment", "related", "teaser", "sidebar", "nav", "footer",
    "hidden",
                  "overlay", "shop", "widget")  # fmt: skip


class Named(NamedTuple):
    """Columns and their names."""

    names: Sequence[str]
    columns: npt.NDArray[np.float64]  # blocks x names


class Surroundings(NamedTuple):
    """What the elements of a page hold, and what each block inherits from them."""

    parent: npt.NDArray[np.int64]  # 0 for the document, too
    share: npt.NDArray[np.float64]  # of each element in the page's prose
    prose: float  # characters
    kinds: npt.NDArray[np.int64]  # of each block: bits of _KINDS of small elements around it
    wide_kinds: npt.NDArray[np.int64]
    hints: npt.NDArray[np.int64]
    wide_hints: npt.NDArray[np.int64]
    group: npt.NDArray[np.int64]  # of each block: the small list or table it is in, 0 for none
    repeats: npt.NDArray[np.float64]  # of each small element: log of how many siblings are like it


def _kind_bits() -> npt.NDArray[np.int64]:
    bits = np.zeros(len(TAGS), dtype=np.int64)
    for bit, tags in enumerate(_KINDS.values()):
        bits[[TAGS[tag] for tag in tags]] = 1 << bit
    return bits


_KIND_BITS = _kind_bits()
_ALL_HINTS = (1 << len(HINT_NAMES)) - 1
_OF_ARTICLE = sum(1 << HINT_NAMES.index(name) for name in _ARTICLE_HINTS)
_ARTICLES, _ROOTS = [TAGS["article"], TAGS["main"]], [TAGS["html"], TAGS["body"]]
_GROUPS = [TAGS[tag] for tag in ("ul", "ol", "dl", "table")]


def surroundings_of(tree: Tree, blocks: Blocks) -> Surroundings:
    """Everything about elements that the figures are made from."""
    tag, parent = tree.nodes[:, TAG], np.maximum(tree.nodes[:, PARENT], 0)
    words, plain = column(blocks, "num_words"), column(blocks, "num_chars") - blocks.link_chars
    is_prose = (words >= 8) & (column(blocks, "num_ends") > 0) & (blocks.link_chars < plain)
    inside = sums(blocks, plain * is_prose)
    prose = max(float(inside[0]), 1.0)
    share = inside / prose
    hints = tree.nodes[:, HINTS] & np.where(np.isin(tag, _ARTICLES), _OF_ARTICLE, _ALL_HINTS)
    hints[np.isin(tag, _ROOTS)] = 0
    is_small = (share < _SMALL) & ~np.isin(tag, _ROOTS)
    is_small[0] = False
    own = np.column_stack([_KIND_BITS[tag], _KIND_BITS[tag], hints, hints])
    own[~is_small, 0::2] = 0
    own[is_small, 1::2] = 0
    around = inherited(parent, own)[blocks.node]
    group = outermost(parent, is_small & np.isin(tag, _GROUPS))[blocks.node]
    kinds, wide_kinds, own_hints, wide_hints = around.T
    return Surroundings(
        parent, share, prose, kinds, wide_kinds, own_hints, wide_hints, group, _repeats(parent, tag, hints) * is_small
    )


def sums(blocks: Blocks, values: npt.NDArray[np.float64] | npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Of each element, the sum of its blocks' values."""
    before = np.concatenate([np.zeros(1), np.cumsum(values)])
    return np.asarray(before[blocks.end] - before[blocks.first], dtype=np.float64)


def is_in(around: Surroundings, *kinds: str) -> npt.NDArray[np.bool_]:
    """Whether a block is in a small element of one of some kinds."""
    wanted = sum(1 << _KIND_NAMES.index(kind) for kind in kinds)
    return np.asarray(around.kinds & wanted != 0)


def bits_of(values: npt.NDArray[np.int64], num_bits: int) -> npt.NDArray[np.float64]:
    """Values x bits, as 0 and 1."""
    return (values[:, None] >> np.arange(num_bits) & 1).astype(np.float64)


def named_bits(prefix: str, values: npt.NDArray[np.int64], of: Sequence[str], *, only: Sequence[str] = ()) -> Named:
    """Some bits as columns: those named in `only`, or all."""
    chosen = only or of
    columns = bits_of(values, len(of))
    return Named([prefix + name for name in chosen], columns[:, [of.index(name) for name in only]] if only else columns)


def tree_figures(blocks: Blocks, around: Surroundings) -> list[Named]:
    """About a hundred figures of each block."""
    chars = sums(blocks, column(blocks, "num_chars"))
    link = sums(blocks, blocks.link_chars) / np.maximum(chars, 1)
    figures = {"prose": np.full(len(blocks), np.log1p(around.prose)), "repeats0": around.repeats[blocks.element]}
    element = blocks.element
    for level in _LEVELS:
        element = around.parent[element]
        figures[f"share{level}"] = around.share[element]
        figures[f"log_share{level}"] = np.log(around.share[element] + 1e-3)
        figures[f"link_of{level}"] = link[element]
        if level < _LEVELS[-1]:
            figures[f"repeats{level}"] = around.repeats[element]
    return [
        Named(list(figures), np.column_stack(list(figures.values()))),
        named_bits("in ", around.kinds, _KIND_NAMES),
        named_bits("within ", around.wide_kinds, _KIND_NAMES, only=_WIDE_KINDS),
        named_bits("called ", around.hints, HINT_NAMES),
        named_bits("page called ", around.wide_hints, HINT_NAMES, only=_WIDE_HINTS),
    ]


def _repeats(
    parent: npt.NDArray[np.int64], tag: npt.NDArray[np.int64], hints: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Log of the number of siblings with the same tag and hints, itself included; paragraphs do not count as repeated."""
    looks = (parent << 40) + (tag << 32) + (hints * 0x9E3779B1 >> 7 & 0xFFFFFFFF)
    _, which, numbers = np.unique(looks, return_inverse=True, return_counts=True)
    return np.where(tag == TAGS["p"], 0.0, np.log(numbers[which]))
