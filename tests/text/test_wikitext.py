import bz2
import os
import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.text.wikitext import prose
from whorl.text.wikitext_rules import Rules

DUMP = "corpus/enwiki-shortened.xml.bz2"
WORD = re.compile(r"\w+")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("'''Bold''' and ''italic'' and '''''both'''''", "Bold and italic and both"),
        ("L'''Iliade'' est un po\u00e8me", "L'Iliade est un po\u00e8me"),
        ("''''quoted''''", "'quoted'"),
        ("[[dog]]s and [[Felis catus|cats]]", "dogs and cats"),
        ("[[Boston (band)|]]", "Boston"),
        ("[[#History]] of [[Foo_bar]]", "History of Foo bar"),
        ("[[:Category:Rivers]]", "Category:Rivers"),
        ("a [[File:x.jpg|thumb|a [[dog]] {{big}} cat]] b", "a b"),
        ("text[[Category:Rivers]]\n[[fr:Chien]]\n[[zh-yue:X]]", "text"),
        ("[[wikt:dog|dog]] [[mw:API]]", "dog mw:API"),
        ("see [http://x.org/a?b=c the page] or [https://x.org]", "see the page or"),
        ("see [//x.org the page] or [mailto:a@b.c me].", "see the page or me."),
        ("one<ref>two</ref> three<ref name=a /> four", "one three four"),
        ("one<!-- two --> three", "one three"),
        ("H<sub>2</sub>O and 10<sup>-6</sup> and 19<sup>th</sup>", "H\u2082O and 10\u207b\u2076 and 19th"),
        ("where <math>x_{i_{j}}\n + f''(x)</math> holds", "where $x_{i_{j}} + f''(x)$ holds"),
        ("<nowiki>[[not a link]] '' {{x}} &lt;</nowiki> end", "[[not a link]] '' {{x}} < end"),
        ("a<br />b", "a\nb"),
        ("* a<br>b\n== c<br/>d ==\n<br>e", "- a b\n\nc d\n\ne"),
        ("vector<int> and <span class='x'>shown</span>", "vector<int> and shown"),
        ("__NOTOC__text __FORCETOC__", "text"),
        ("a&nbsp;b &ndash; c &amp; d &lt;i&gt;", "a b \u2013 c & d <i>"),
        ("-{zh-hans:A; zh-hant:B}- and -{C}-", "A and C"),
        ("<poem>\nroses\nviolets\n</poem>", "roses\nviolets"),
        ("----\ntext", "text"),
        (" code line\n other line", "code line\nother line"),
        ("one line\nthe same paragraph\n\nanother", "one line the same paragraph\n\nanother"),
    ],
)
def test_markup_reads_as_its_reader_sees_it(written, read):
    assert prose(written) == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Rome ({{IPA|x}}; {{lang-la|Roma}}) is", "Rome (Roma) is"),
        ("Rome ({{IPA|x}}, {{audio|y}}) is", "Rome is"),
        ("Rome (the city, {{audio|y}}) is", "Rome (the city) is"),
        ("it ended {{cn}}, he said{{cn}}.", "it ended, he said."),
        ("one {{x}} two", "one two"),
        ("one{{x}} two {{y}}{{z}} three", "one two three"),
        ("f() and (a, b)", "f() and (a, b)"),
    ],
)
def test_what_is_dropped_leaves_no_hole(written, read):
    assert prose(written) == read


def test_lists_keep_their_items_and_lose_their_marks():
    assert prose("* one\n** two\n# three\n;term : meaning\n:indented\n*\nafter") == (
        "- one\n- two\n- three\nterm: meaning\nindented\n\nafter"
    )


def test_tables_are_dropped_with_what_is_in_them():
    table = "before\n{| class=x\n! head\n|-\n| a [[link|text]] || {{t|\n|}}\n{| \n| inner\n|}\n|}\nafter"
    assert prose(table) == "before\n\nafter"
    assert prose("before <table><tr><td>cell</td></tr></table> after") == "before after"
    assert prose("{{start of table}}\n|-\n| cell\n|}\nafter") == "after"


def test_an_infobox_is_dropped_to_its_last_brace():
    assert prose("{{Infobox\n| a = {{b|{{c}}}}\n| d = [[e|f]]\n| t = {|\n| cell\n|}\n}}\n'''Text'''.") == "Text."


def test_sections_named_in_the_rules_go_with_their_subsections():
    page = "intro\n== A ==\na\n== References ==\nx\n=== Notes here ===\ny\n== B ==\nb"
    assert prose(page) == "intro\n\nA\n\na\n\nB\n\nb"
    assert prose(page, Rules(dropped_sections=frozenset({"a"}))) == "intro\n\nReferences\n\nx\n\nNotes here\n\ny\n\nB\n\nb"


def test_a_heading_with_nothing_below_it_is_dropped():
    assert prose("== A ==\n{{x}}\n== B ==\n=== C ===\ntext\n== D ==\n[[File:x.jpg]]") == "B\n\nC\n\ntext"


def test_code_is_kept_as_it_is_or_dropped():
    page = "see\n<source lang=c>\nif (a[[i]]) {\n    ''x'' = {{1}};\n}\n</source>\nend"
    assert prose(page) == "see\nif (a[[i]]) {\n    ''x'' = {{1}};\n}\nend"
    assert prose(page, Rules(keeps_code=False)) == "see\n\nend"
    assert prose("a <math>x</math> b", Rules(keeps_math=False)) == "a b"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("{{open and [[link|text]] go on", "open and text go on"),
        ("a }} b ]] c", "a b c"),
        ("[[open and {{dropped}} go on", "open and go on"),
        ("a <ref>never closed", "a never closed"),
        ("a <math>never closed", "a never closed"),
        ("a <!-- never closed", "a"),
        ("{| \n| cell\nplain", "plain"),
        ("</table></poem>x", "x"),
        ("{{a|[[b}} c", "c"),
        ("{{{parameter|default}}} x", "x"),
        ("{{{{{a}}}}} x", "x"),
    ],
)
def test_a_bracket_without_partner_loses_only_itself(written, read):
    assert " ".join(prose(written).split()) == read


def test_depth_is_bounded_and_everything_readable_is_kept():
    assert prose("[[a|" * 500 + "core" + "]]" * 500).endswith("core")


BOMBS = ["{{", "{{a ", "[[", "[[a|b ", "}}", "<ref>", "<ref name=a>x", "<!--", "<a ", "'''a", "{{x}}", "({{x}} ", "(,{{x}},"]
BOMBS += [
    "[http://",
    "[http://a ",
    "=",
    "= a ",
    "{|\n",
    "-{",
    "<sub>",
    "&",
    "<poem>",
    "[[a|",
    "{{{",
    "== a ==\n",
    "<table>",
    " ",
]


@pytest.mark.parametrize("bomb", BOMBS)
def test_time_grows_with_length_only(bomb):
    """A quadratic step would take minutes and meet the suite's time limit."""
    prose(bomb * 40_000)
    prose(bomb * 20_000 + "]]}}>|}" * 20_000)


@given(st.lists(st.sampled_from([*BOMBS, "]]", "}}", "|}", "|", "x", "\n", "* ", "</ref>", "<nowiki>", "</nowiki>", ":", "#"])))
def test_any_order_of_markup_gives_text_without_marks_of_the_machine(pieces):
    text = prose("".join(pieces))
    assert not set(text) & set("\x00\x01\x02\x03\x04\x05")
    assert text == text.strip()


@given(st.text(st.characters(categories=["L", "N"]), min_size=1))
def test_plain_words_are_left_alone(text):
    assert prose(text) == text


@pytest.fixture(scope="module")
def articles():
    """Wikitext of every article of a real dump that is no redirect, by title."""
    if "WHORL_REAL_DATA" not in os.environ:
        pytest.skip("WHORL_REAL_DATA is not set")
    with bz2.open(Path(os.environ["WHORL_REAL_DATA"]) / DUMP) as stream:
        root = ElementTree.parse(stream).getroot()
    space = root.tag.removesuffix("mediawiki")
    pages = [page for page in root.iter(f"{space}page") if page.find(f"{space}redirect") is None]
    return {page.findtext(f"{space}title"): page.findtext(f"{space}revision/{space}text") for page in pages}


@pytest.mark.real
def test_a_real_dump_leaves_no_markup(articles):
    texts = [prose(text, Rules(keeps_math=False, keeps_code=False)) for text in articles.values()]
    marks = ("{{", "}}", "[[", "]]", "<ref", "|-", "{|", "|}", "thumb|", "'''", "==", "&nbsp;", "<br", "__", "[http")
    found = Counter({mark: sum(text.count(mark) for text in texts) for mark in marks})
    assert len(texts) == 106
    assert +found == {}
    assert sum(map(len, texts)) > 2_500_000


@pytest.mark.real
def test_words_agree_with_mwparserfromhell(articles):
    """Same choices on both sides: no templates, tables, files or categories; every section. See the comments for the rest."""
    parser = pytest.importorskip("mwparserfromhell")
    rules = Rules(dropped_sections=frozenset(), templates={}, keeps_math=False)
    shared = ours = theirs = 0
    worst: dict[str, float] = {}
    for title, text in articles.items():
        mine = Counter(WORD.findall(_plain_scripts(prose(text, rules))))
        peer = Counter(WORD.findall(_oracle(parser, text)))
        common = (mine & peer).total()
        worst[title] = 2 * common / (mine.total() + peer.total())
        shared, ours, theirs = shared + common, ours + mine.total(), theirs + peer.total()
    assert 2 * shared / (ours + theirs) > 0.99
    # Alaska: the peer takes two tables and the text between for one. Angola: quote marks that do not pair inside a reference
    # make it read on to the end of a later one. Production Design: a heading over nothing but a table, which we drop with the
    # table. Agassi: attributes of a table that the peer takes for text.
    known = {"Alaska", "Angola", "Academy Award for Best Production Design", "Andre Agassi"}
    assert {title for title, f1 in worst.items() if f1 < 0.975} <= known


def _plain_scripts(text):
    return text.translate(
        str.maketrans("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u2099", "0123456789n")
    ).translate(str.maketrans("\u2080\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089", "0123456789"))


def _oracle(parser, text):
    code = parser.parse(text)
    unseen = [
        link for link in code.filter_wikilinks() if str(link.title).strip().lower().startswith(("file:", "image:", "category:"))
    ]
    tables = code.filter_tags(matches=lambda tag: str(tag.tag).lower() in ("table", "ref"))
    for node in [*unseen, *tables]:
        if code.contains(node):
            code.remove(node)
    return code.strip_code()
