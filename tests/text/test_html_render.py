"""Plain text from chosen blocks: what is apart, what is joined, what is left out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.text.html import parse
from whorl.text.html_blocks import blocks_of
from whorl.text.html_hints import hint_automaton
from whorl.text.html_render import render

NO_HINTS = hint_automaton({})


def shown(page, *, without=()):
    tree = parse(np.frombuffer(page.encode("utf-8", "replace"), dtype=np.uint8), NO_HINTS)
    blocks = blocks_of(tree)
    return render(tree, blocks, ~np.isin(np.arange(len(blocks)), without))


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("", ""),
        ("<p> \n </p>", ""),
        ("<h1>A</h1><p>b <b>c</b>\n  d</p>e", "A\n\nb c d\n\ne"),
        ("a<b> </b>b<i>c</i>", "a bc"),
        ("a<br>b<br><br>c", "a\nb\nc"),
        ("<ul><li>a<li><p>b</p></ul>c", "- a\n- b\n\nc"),
        ("<ol><li>a<li>b<ul><li>c</ul></ol>", "1. a\n2. b\n- c"),
        ("<dl><dt>a<dd>b</dl>", "a\nb"),
        ("<table><tr><th>a<th>b<tr><td>c<td>d</table>", "a\tb\nc\td"),
        ("<pre>def f():\n    return 1\n</pre>after", "def f():\n    return 1\n\nafter"),
        ("a&nbsp;&amp;\u00a0b", "a & b"),
        ("a\x00b\x07c", "abc"),
        ("<p>a<script>b</script>c<p hidden>d<p style='display: none'>e", "ac"),
        ("<ruby>\u6f22<rt>kan</rt>\u5b57<rt>ji</rt></ruby>", "\u6f22\u5b57"),
    ],
)
def test_text_reads_like_the_page(page, text):
    assert shown(page) == text


def test_what_is_dropped_leaves_no_trace():
    assert shown("<ol><li>a<li>b<li>c</ol>", without=[1]) == "1. a\n3. c"
    assert shown("<p>a<p>b<p>c", without=[0, 2]) == "b"


def test_a_page_that_hides_most_of_itself_is_shown():
    assert shown("<div style='display:none'><p>all of the article</p></div>x") == "all of the article\n\nx"


@given(page=st.lists(st.one_of(st.sampled_from(["<p>", "<li>", "<ol>", "</ol>", "<pre>", "</pre>", "<td>", "<br>", "<b>",
    "&#10;", "\u3042"]),
                               st.text(max_size=6)), max_size=30).map("".join))  # fmt: skip
def test_rendering_keeps_every_shown_letter_in_order(page):
    letters = [c for c in shown(page) if c.isalpha()]
    tree = parse(np.frombuffer(page.encode("utf-8", "replace"), dtype=np.uint8), NO_HINTS)
    blocks = blocks_of(tree)
    one_by_one = "".join(render(tree, blocks, np.arange(len(blocks)) == i) for i in range(len(blocks)))
    assert letters == [c for c in one_by_one if c.isalpha()]
