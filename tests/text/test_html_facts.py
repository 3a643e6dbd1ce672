"""What pages say about themselves, and what they only seem to say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.text.html import parse
from whorl.text.html_facts import facts_of, unescape
from whorl.text.html_hints import hint_automaton

NO_HINTS = hint_automaton({})
BY = "https://creativecommons.org/licenses/by/4.0"


def facts(page, url=None):
    return facts_of(parse(np.frombuffer(page.encode(), dtype=np.uint8), NO_HINTS), url)


def test_a_page_that_says_nothing_gives_nothing():
    assert facts("<p>Text") == (None, None, None, None, (), None)


@pytest.mark.parametrize(
    ("page", "title"),
    [
        ("<title> A &amp;\n B </title>", "A & B"),
        ("<title>Long - Site</title><meta property='og:title' content='Long'>", "Long"),
        ("<svg><title>Icon</title></svg><title>Page</title>", "Page"),
        ("<title></title>", None),
    ],
)
def test_the_title_is_the_shared_one_or_the_element(page, title):
    assert facts(page).title == title


@pytest.mark.parametrize(
    ("page", "language"),
    [
        ("<html lang=de-AT>", "de-at"),
        ("<html xml:lang='en_GB'>", "en-gb"),
        ("<html lang=''><meta http-equiv=Content-Language content=fr>", "fr"),
        ("<html lang='{{ locale }}'>", None),
        ("<html lang=en><body><html lang=fr>", "en"),
    ],
)
def test_the_language_is_what_the_page_declares(page, language):
    assert facts(page).language == language


@pytest.mark.parametrize(
    ("page", "date"),
    [
        ('<meta property="article:published_time" content="2019-05-15T05:28:29+02:00">', "2019-05-15T05:28:29+02:00"),
        ("<meta content=20190515 name=DATE>", "2019-05-15"),
        ("<time datetime='2011-07-19 10:00'>", "2011-07-19T10:00"),
        ("<time datetime=2019-02-30><time datetime=2019-03-01>", "2019-03-01"),
        ("<time datetime=soon>", None),
        ('<script type="application/ld+json">{"datePublished": "2020-01-02", broken</script>', "2020-01-02"),
        ('<script>{"datePublished": "2020-01-02"}</script>', None),
        ("<meta name=date content=2001-01-01><meta property=article:published_time content=2002-02-02>", "2002-02-02"),
    ],
)
def test_the_date_is_the_most_trusted_possible_one(page, date):
    assert facts(page).date == date


@pytest.mark.parametrize(
    ("page", "licence"),
    [
        (f'<a rel="license nofollow" href="{BY}/deed.de">CC</a>', BY),
        (f"<link rel=license href='{BY}/'>", BY),
        ("<a rel=license href='/imprint'>ours</a>", "https://example.org/imprint"),
        (f"<p>See <a href={BY}/>this</a> and <a href={BY}/legalcode.en>that</a>", BY),
        (f"<a href={BY}/>this</a> <a href=https://creativecommons.org/licenses/by-sa/4.0/>that</a>", None),
        ("<p class=license>all rights reserved", None),
        ('<script type=application/ld+json>{"license":"https://example.org/l"}</script>', "https://example.org/l"),
    ],
)
def test_a_licence_is_declared_or_the_only_commons_one(page, licence):
    assert facts(page, "https://example.org/a").licence == licence


def test_robots_directives_are_lower_case_and_name_the_agent_they_are_for():
    page = (
        "<meta name=ROBOTS content='NoIndex, NOAI,noimageai , '><meta name=robots content=noindex>"
        "<meta name=GPTBot content=noindex><meta name=tdm-reservation content=1>"
        "<meta name=tdm-policy content='https://example.org/P'><meta name=viewport content=x>"
    )
    assert facts(page).robots == (
        "noindex", "noai", "noimageai", "gptbot: noindex", "tdm-reservation: 1", "tdm-policy: https://example.org/P",
    )  # fmt: skip


def test_the_canonical_address_is_made_absolute():
    page = "<link rel='shortlink canonical' href='/b?x=1&amp;y=2'>"
    assert facts(page, "https://example.org/a/").canonical == "https://example.org/b?x=1&y=2"
    assert facts(page).canonical == "/b?x=1&y=2"
    assert facts("<link rel=canonical href='http://[bad'>", "https://example.org").canonical is None


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        ("a &lt; b", "a < b"),
        ("&amp;lt;", "&lt;"),
        ("&#x41;&#66;", "AB"),
        (f"&#{'9' * 6000};", "\ufffd;"),
        (f"&#{'0' * 6000}65;", "A"),
        ("&#xD800;", "\ufffd"),
        ("AT&T &unknown;", "AT&T &unknown;"),
    ],
)
def test_character_references_are_replaced_once_and_never_raise(escaped, text):
    assert unescape(escaped) == text


@given(page=st.lists(st.sampled_from(["<meta name=", "robots", " content=", "'", '"', "<link rel=canonical href=",
    "<html lang=", ">", "<title>", "&#", "9" * 30,
                                      "<time datetime=", "2020-01-01", "<script type=ld+json>", '"license":"http',
                                      "</title>", "http://[", "\x00"]),
                     max_size=40).map("".join))  # fmt: skip
def test_no_page_breaks_the_facts(page):
    assert facts(page, "https://example.org") == facts(page, "https://example.org")
