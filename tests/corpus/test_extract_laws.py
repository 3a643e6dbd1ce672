"""What every extractor promises, whichever it is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.corpus.extract import Extracted, Extractor

EVERY = pytest.mark.parametrize("name", Extractor.names())
SENTENCES = (
    "The old mill stands at the bend of the river, and nobody in the village remembers who built it.",
    "In spring the water rises so high that the wheel turns by itself, although it has ground no corn for fifty years.",
    "My grandmother, who was born next door, used to say that the miller left one night without a word to anyone.",
    "Since then the house has had three owners, two of whom meant to repair it and never found the money.",
)
ARTICLE = (
    "<!doctype html><html lang=en><head><title>The mill - News</title><meta property='og:title' content='The mill'>"
    "<meta name=robots content='noindex, noai'><meta property='article:published_time' content='2021-05-06'>"
    "<link rel=canonical href='/mill'></head><body>"
    "<nav class=menu><ul><li><a href=/>Home</a><li><a href=/a>Politics</a><li><a href=/b>Sports</a></ul></nav>"
    "<main><article class=entry><h1>The mill</h1><div class=entry-content>"
    + "".join(f"<p>{sentence}</p>" for sentence in SENTENCES)
    + "</div></article></main>"
    + "<footer class=footer><p><a href=/imprint>Imprint</a> <a href=/privacy>Privacy</a></p></footer></body></html>"
)
PIECES = st.sampled_from(
    ["<p>", "</p>", "<div class='comment nav'>", "</div>", "<a href=x>", "</a>", "<table><tr><td>", "<h1>", "<br>", "<!--",
        "-->", "<script>",
     "</script>", "<pre>", "<", ">", "&nbsp;", "&#xD800;", "&#99999999;", "\"", "'", "\x00", "\ud800", "\u6f22\u5b57\u3002",
     "<body>", "<title>",
     '"articleBody": "', "\\", "word ", "A sentence of words, ended by a dot. "]
)  # fmt: skip


def extracted(name, page, url=None):
    return Extractor.model_validate({"use": name}).extract(page, url)


@EVERY
@settings(max_examples=30, deadline=None)
@given(page=st.lists(st.one_of(PIECES, st.text(max_size=20)), max_size=40).map("".join))
def test_no_page_raises_and_the_same_page_gives_the_same(name, page):
    once = extracted(name, page)
    assert isinstance(once, Extracted)
    once.text.encode()
    assert once == extracted(name, page)


@EVERY
@pytest.mark.parametrize("page", ["", " \n", "<html><body></body></html>", "<script>let a = 'not text at all';</script>"])
def test_a_page_without_text_gives_no_text(name, page):
    assert extracted(name, page).text == ""


@EVERY
def test_an_article_survives_and_the_menu_does_not(name):
    text = extracted(name, ARTICLE).text
    assert [sentence in text for sentence in SENTENCES] == [True] * len(SENTENCES)
    assert "Politics" not in text


@EVERY
def test_facts_are_the_same_whoever_extracts(name):
    found = extracted(name, ARTICLE, "https://example.org/2021/mill")
    assert found[1:] == ("The mill", "en", "2021-05-06", None, ("noindex", "noai"), "https://example.org/mill")
