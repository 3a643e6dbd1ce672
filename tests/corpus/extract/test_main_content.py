"""The house's own extractor on pages made for one thing each."""

import json

import numpy as np
import pytest

from whorl.corpus.extract import Extractor
from whorl.corpus.extract.main_content.scoring import affine, scores, weights
from whorl.text.html import parse
from whorl.text.html_blocks import blocks_of, coarser
from whorl.text.html_hints import hint_automaton

PROSE = (
    "The ferry leaves at seven, when the fog is still on the water, and comes back at noon with the mail.",
    "Nobody has counted the islands, because the tide makes and unmakes them, and the maps disagree.",
    "On the largest there is a chapel, a well and a row of houses, three of which are lived in all year.",
    "The keeper told us that he had once seen the whole sea freeze, from the pier to the lighthouse, in one night.",
)
CODE = "def tide(hour):\n    return 2.5 * sin(hour / 12)"


def page(article, *, around=""):
    return (
        "<html><head><title>t</title></head><body><div class=nav><a href=/a>Start</a> <a href=/b>Travel</a></div>"
        f"<article><h1>The islands</h1>{article}</article>{around}<footer>Copyright, all rights reserved</footer></body></html>"
    )


def text_of(html, **config):
    return Extractor.model_validate({"use": "main_content", **config}).extract(html, None).text


def paragraphs(*texts):
    return "".join(f"<p>{text}</p>" for text in texts)


def test_paragraphs_code_lists_and_tables_keep_their_shape():
    article = (
        paragraphs(*PROSE[:2])
        + "<ul><li>Bring warm clothes, for the wind never stops.<li>Bring money, for there is no bank on the islands.</ul>"
        + f"<pre>{CODE}</pre>{paragraphs(*PROSE[2:])}"
    )
    text = text_of(page(article))
    assert f"{PROSE[0]}\n\n{PROSE[1]}\n\n- Bring warm clothes" in text
    assert "stops.\n- Bring money" in text
    assert CODE in text


@pytest.mark.parametrize(
    "furniture",
    [
        "<div class=comments><h3>Comments</h3><div class=comment><p>Jo: great post!</p><a href=#r>Reply</a></div></div>",
        "<aside class=sidebar><h3>Most read</h3><ul><li><a href=/x>Ten harbours to see before summer ends</a></ul></aside>",
        "<div class='related-posts'><h3>You may also like</h3><a href=/y>Why lighthouses are painted in stripes</a></div>",
        "<div class=newsletter><p>Subscribe to our newsletter and never miss a story.</p><input name=mail></div>",
        "<div id=cookie-banner><p>We use cookies to improve your experience. <a href=/c>Learn more</a></p></div>",
        "<div class=share-buttons><a href=f>Share on Facebook</a> <a href=t>Tweet</a></div>",
    ],
)
def test_furniture_below_the_article_is_left_out(furniture):
    text = text_of(page(paragraphs(*PROSE), around=furniture))
    assert all(sentence in text for sentence in PROSE)
    for words in ("great post", "Ten harbours", "lighthouses are painted", "never miss", "improve your", "Tweet"):
        assert words not in text


def test_a_higher_bar_keeps_no_more_and_a_lower_one_no_less():
    html = page(paragraphs(*PROSE), around="<div>Some words about us and what we do here.</div><div>Contact</div>")
    kept = [set(text_of(html, min_score=bar).split("\n\n")) for bar in (0.1, 0.45, 0.9)]
    assert kept[0] >= kept[1] >= kept[2]


def test_a_page_without_a_likely_line_gives_its_best_one():
    assert text_of("<p>Short note</p>") == "Short note"


def test_an_article_that_only_its_metadata_holds_is_taken_if_it_is_free():
    body = " ".join(PROSE) + " Fish &amp; chips."
    shell = "<p>Loading</p><script type='application/ld+json'>{%s\"articleBody\": %s}</script>"
    assert text_of(shell % ("", json.dumps(body))) == " ".join(PROSE) + " Fish & chips."
    assert text_of(shell % ("", json.dumps(paragraphs(*PROSE)))) == "\n\n".join(PROSE)
    assert text_of(shell % ('"isAccessibleForFree": "False", ', json.dumps(body))) == "Loading"


def test_a_shown_article_is_not_replaced_by_its_metadata():
    script = f"<script type='application/ld+json'>{json.dumps({'articleBody': ' '.join(PROSE)})}</script>"
    assert text_of(page(paragraphs(*PROSE), around=script)).endswith(PROSE[-1])


@pytest.mark.timeout(100)
@pytest.mark.parametrize("piece", ["a<br>", "<div><p>word ", "</div><span>", "<ul><li>x", "<h2 class='nav x'>More</h2>"])
def test_five_megabytes_of_one_piece_end(piece):
    assert isinstance(text_of(piece * (5_000_000 // len(piece))), str)


def test_neighbours_judged_together_keep_their_counts():
    tree = parse(np.frombuffer(page(paragraphs(*PROSE)).encode(), dtype=np.uint8), hint_automaton({}))
    fine = blocks_of(tree)
    coarse = coarser(fine, 3)
    assert len(coarse) == -(-len(fine) // 3)
    assert coarse.counts[:, 0].sum() == fine.counts[:, 0].sum()
    assert coarse.link_chars.sum() == fine.link_chars.sum()
    assert len(scores(tree, coarse)) == len(coarse)


def test_passing_over_zeros_changes_no_sum():
    draw = np.random.default_rng(3)
    columns = draw.normal(size=(7, 5)) * (draw.random((7, 5)) < 0.5)
    slopes, bias = draw.normal(size=(5, 4)), draw.normal(size=4)
    # Another order of additions; the difference is a few units in the last place.
    np.testing.assert_allclose(affine(columns, slopes, bias), columns @ slopes + bias, rtol=1e-12)


def test_the_weights_have_a_slope_for_every_figure():
    fitted = weights()
    assert len(fitted.first.slopes) < len(fitted.names) == len(fitted.second.hidden)
    assert len(set(fitted.names)) == len(fitted.names)
    assert fitted.second.hidden.shape[1] == len(fitted.second.output)
