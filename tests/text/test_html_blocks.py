"""Blocks of a page: which runs they hold, which elements hold them."""

import numpy as np

from whorl.text.html import parse
from whorl.text.html_blocks import blocks_of, inherited, outermost
from whorl.text.html_elements import TAG
from whorl.text.html_hints import hint_automaton
from whorl.text.html_names import TAGS
from whorl.text.html_scan import COUNTS

NAMES = {number: name for name, number in TAGS.items()}


def parsed(page):
    tree = parse(np.frombuffer(page.encode(), dtype=np.uint8), hint_automaton({}))
    return tree, blocks_of(tree)


def test_a_block_goes_from_break_to_break_and_sums_its_runs():
    _, blocks = parsed("<div>one <a href=x>two</a> three<p>four</p><br>five!</div>")
    assert blocks.counts[:, COUNTS.index("num_words")].tolist() == [3, 1, 1]
    assert blocks.link_chars.tolist() == [3, 0, 0]
    assert [chr(last) for last in blocks.counts[:, COUNTS.index("last")]] == ["e", "r", "!"]


def test_a_block_knows_its_innermost_element_and_its_block_element():
    tree, blocks = parsed("<div><span><b>a</b></span><p>b</p></div>")
    assert [NAMES[tag] for tag in tree.nodes[blocks.node, TAG]] == ["b", "p"]
    assert [NAMES[tag] for tag in tree.nodes[blocks.element, TAG]] == ["div", "p"]


def test_an_element_knows_its_blocks():
    tree, blocks = parsed("<div>a<ul><li>b<li>c</ul></div>d")
    spans = {
        NAMES[tag]: (int(first), int(end)) for tag, first, end in zip(tree.nodes[:, TAG], blocks.first, blocks.end, strict=True)
    }
    assert (spans["div"], spans["ul"], spans["li"]) == ((0, 3), (1, 3), (2, 3))
    assert (blocks.first[0], blocks.end[0]) == (0, 4)


def test_blocks_of_blanks_and_of_what_is_skipped_are_none():
    _, blocks = parsed("<pre>  \n </pre><button>Buy</button><p>&nbsp;</p>a")
    assert len(blocks) == 1


def test_bits_are_inherited_from_everything_around():
    parent = np.array([0, 0, 1, 0])
    own = np.array([[1], [2], [4], [8]])
    assert inherited(parent, own).ravel().tolist() == [1, 3, 7, 9]


def test_the_outermost_one_around_is_found():
    assert outermost(np.array([0, 0, 1, 2, 0]), np.array([False, True, True, False, False])).tolist() == [0, 1, 1, 1, 0]
