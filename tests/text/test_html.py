"""The parsed page: what ends what, what is text, and that nothing can break or slow it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.text.html import BREAK, FIRST_COUNT, IN_LINK, IN_PRE, KIND, LINE, NODE, START, STOP, parse
from whorl.text.html_elements import END, END_RUN, FIRST_RUN, MAX_DEPTH, ORDINAL, PARENT, TAG
from whorl.text.html_hints import hint_automaton
from whorl.text.html_names import TAGS
from whorl.text.html_scan import COUNTS

NO_HINTS = hint_automaton({})
NAMES = {number: name for name, number in TAGS.items()}


def tree_of(page):
    return parse(np.frombuffer(page.encode(), dtype=np.uint8), NO_HINTS)


def texts(page):
    tree = tree_of(page)
    return [bytes(tree.data[run[START] : run[STOP]]).decode() for run in tree.runs]


def paths(page):
    """For each run its text and the tags around it, outermost first."""
    tree = tree_of(page)
    found = []
    for text, run in zip(texts(page), tree.runs, strict=True):
        node, path = int(run[NODE]), []
        while node > 0:
            path.insert(0, NAMES[int(tree.nodes[node, TAG])])
            node = int(tree.nodes[node, PARENT])
        found.append((text, " ".join(path)))
    return found


def test_a_paragraph_ends_where_a_block_begins():
    assert paths("<p>a<div>b</div>c") == [("a", "p"), ("b", "div"), ("c", "")]
    assert paths("<p>a<p>b<b>c</b>") == [("a", "p"), ("b", "p"), ("c", "p b")]


def test_an_item_ends_the_item_before_it_and_not_the_one_around_it():
    assert paths("<ul><li>a<li>b<ul><li>c</ul>d") == [("a", "ul li"), ("b", "ul li"), ("c", "ul li ul li"), ("d", "ul li")]


def test_a_definition_ends_the_term_before_it():
    assert paths("<dl><dt>a<dd>b<dt>c") == [("a", "dl dt"), ("b", "dl dd"), ("c", "dl dt")]


def test_cells_and_rows_end_each_other_inside_their_own_table_only():
    page = "<table><tr><td>a<table><tr><td>b</table>c<td>d<tr><td>e</table>f"
    assert paths(page) == [
        ("a", "table tr td"), ("b", "table tr td table tr td"), ("c", "table tr td"), ("d", "table tr td"), ("e",
            "table tr td"), ("f", ""),
    ]  # fmt: skip


def test_an_end_tag_does_not_reach_out_of_a_cell():
    assert paths("<div><table><tr><td></div>a</table>b</div>c") == [("a", "div table tr td"), ("b", "div"), ("c", "")]


def test_an_inline_end_tag_does_not_end_a_block():
    assert paths("<span><div>a</span>b</div>c") == [("a", "span div"), ("b", "span div"), ("c", "span")]


def test_a_heading_ends_another_heading():
    assert paths("<h2>a<h3>b") == [("a", "h2"), ("b", "h3")]


@pytest.mark.parametrize("name", ["script", "style", "noscript", "template", "svg", "iframe", "textarea", "select", "title"])
def test_raw_content_is_no_text_whatever_it_holds(name):
    assert texts(f"a<{name} x='>'>b<p>'</{name[:-1]}>c<!-- </{name.upper()} >d") == ["a", "d"]


def test_a_script_without_end_takes_the_rest_and_other_raw_elements_without_end_take_nothing():
    assert texts("a<script>b<p>c") == ["a"]
    assert texts("a<svg>b<p>c") == ["a", "b", "c"]


def test_comments_and_declarations_are_no_text():
    assert texts("<!doctype html><?xml x?>a<!-- b > c --!>d<!-->e<!--[if IE]>f<![endif]-->g</ h>i") == ["a", "d", "e", "g", "i"]


def test_a_comment_without_end_ends_at_the_next_bracket():
    assert texts("a<!-- b >c<!-- d >e") == ["a", "c", "e"]


def test_a_bracket_that_begins_no_tag_is_text():
    assert texts("1 < 2 <3 <") == ["1 ", "< 2 ", "<3 ", "<"]


def test_quoted_attributes_may_hold_brackets():
    assert texts("""<a title="x>y" alt='</a>' href=z>b</a>""") == ["b"]


def test_links_are_flagged_until_they_or_what_holds_them_ends():
    tree = tree_of("<p><a href=x>a<b>b</b></a>c<a name=y>d</a><a href=z>e</p>f")
    assert [bool(kind & IN_LINK) for kind in tree.runs[:, KIND]] == [True, True, False, False, True, False]


def test_runs_know_whether_they_begin_a_line_or_a_block():
    tree = tree_of("<p>a<i>b</i><br>c<br></p>d")
    assert (tree.runs[:, KIND] & (LINE | BREAK)).tolist() == [BREAK, 0, LINE, BREAK]


def test_blanks_between_blocks_are_no_runs_but_between_words_and_in_preformatted_text_they_are():
    assert texts("<p> </p> <b>a</b> <i>b</i>") == ["a", " ", "b"]
    tree = tree_of("<pre>\n\n<b>a</b></pre>")
    assert (tree.runs[:, KIND] & IN_PRE != 0).tolist() == [True, True]


def test_items_are_numbered_in_their_own_list():
    tree = tree_of("<ol><li>a<ol><li>b</ol><li>c</ol>")
    assert tree.nodes[tree.runs[:, NODE], ORDINAL].tolist() == [1, 1, 2]


def test_counts_are_right_by_hand():
    (run,) = tree_of("Two words, 34&nbsp;nine. \u6f22\u5b57\u3002").runs.tolist()
    counted = dict(zip(COUNTS, run[FIRST_COUNT:], strict=True))
    # 2 + 6 + 2 + 5 letters and marks, three CJK characters as two each; the full stop is one of them
    expected = {"num_chars": len("Twowords,34nine.") + 6, "num_words": 4 + 3, "num_ends": 2, "num_commas": 1, "num_digits": 2}
    assert {name: counted[name] for name in expected} == expected
    assert counted["last"] == "\u3002".encode()[-1]


def test_depth_is_bounded_and_text_below_is_kept():
    page = "<div>" * 3000 + "a" + "</div>" * 3000 + "<p>b"
    tree = tree_of(page)
    assert texts(page) == ["a", "b"]
    assert len(tree.nodes) <= MAX_DEPTH + 2


PIECES = st.sampled_from(
    ["<p>", "</p>", "<div class='a b'>", "</div>", "<a href=x>", "</a>", "<li>", "<table>", "<td>", "<tr>", "</table>",
        "<h1>", "</h2>", "<br>",
     "<b>", "</b>", "<!--", "-->", "<script>", "</script>", "<pre>", "</pre>", "<", ">", "&nbsp;", "\"", "'", "=", "/", " ",
     "\x00", "text", "\u6f22",
     "<body>", "<html lang=de>", "</html>", "<svg>", "</svg>", "\u00a0", "<ol>", "</ol>"]
)  # fmt: skip


@given(page=st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=60).map("".join))
def test_any_page_gives_nested_elements_and_runs_in_order(page):
    tree = parse(np.frombuffer(page.encode("utf-8", "replace"), dtype=np.uint8), NO_HINTS)
    nodes, runs = tree.nodes, tree.runs
    assert (nodes[1:, PARENT] < np.arange(1, len(nodes))).all()
    assert (nodes[1:, END] <= nodes[nodes[1:, PARENT], END]).all()
    assert (nodes[:, FIRST_RUN] <= nodes[:, END_RUN]).all()
    assert (runs[:, START] < runs[:, STOP]).all()
    assert (runs[1:, START] >= runs[:-1, STOP]).all()
    assert (
        (nodes[runs[:, NODE], FIRST_RUN] <= np.arange(len(runs))) & (np.arange(len(runs)) < nodes[runs[:, NODE], END_RUN])
    ).all()


@pytest.mark.parametrize(
    "piece",
    ["<div>", "</div><u>", "<u><b>", "</u><b>", "<!--", "<svg>", "<a href='", "<p><b>", "<li>", "<table><tr><td>", "<",
        "<a b=\"c", "&nbsp", "</p>",
     "<title>", "<textarea", "<b x='>"],
)  # fmt: skip
@pytest.mark.timeout(60)
def test_five_megabytes_of_one_piece_are_parsed(piece):
    page = piece * (5_000_000 // len(piece))  # quadratic time would be hours: the timeout is far from both
    tree = parse(np.frombuffer(page.encode(), dtype=np.uint8), NO_HINTS)
    assert int(tree.nodes[0, END]) == len(tree.nodes)
    assert (tree.runs[1:, START] >= tree.runs[:-1, STOP]).all()
