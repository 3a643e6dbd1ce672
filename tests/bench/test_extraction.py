"""How bench.extraction counts, and how its coefficients' labels are made."""

import numpy as np
import pytest
from bench.extraction import Counted, LabelledPage, counted, is_development, normal
from bench.fits.extraction import DISPUTED, SNIPPET_WEIGHT, found, labelled

PAGE = LabelledPage("u", "", 0, ("two words", "gone"), ("Share  it", "not there"))


def test_snippets_are_compared_after_collapsing_blanks():
    assert counted(PAGE, "We kept two\n words. Share it") == Counted(hits=1, intruders=1, misses=1, rejects=1)
    assert normal(" a\n\t b ") == "a b"


def test_f1_is_worked_by_hand():
    total = Counted(3, 1, 2, 9).plus(Counted(1, 0, 0, 1))
    assert total == (4, 1, 2, 10)
    assert (total.precision, total.recall) == (4 / 5, 4 / 6)
    assert total.f1 == pytest.approx(8 / 11)
    assert Counted(0, 0, 0, 0).f1 == 0


def test_the_half_of_a_page_depends_on_its_address_alone():
    # int(sha256(b"a").hexdigest(), 16) ends in the digits ...bb, sha256(b"d") in ...e4
    assert [is_development(url) for url in ("a", "d")] == [False, True]


def test_a_snippet_touches_every_line_it_runs_over():
    lines = ["one two", "three", "four one", "two"]
    assert found("two three", lines) == [[0, 1]]
    assert found("one two", lines) == [[0], [2, 3]]
    assert found("five", lines) == []


def test_snippets_overrule_the_peers_and_agreement_weighs_more_than_dispute():
    lines = ["two words in one line", "Share it", "kept by one of them", "kept by both of them", "kept by nobody at all"]
    labels, weights = labelled(
        PAGE, lines, "Share it kept by one of them kept by both of them", "Share it kept by both of them"
    )
    assert labels.tolist() == [1, 0, 1, 1, 0]
    long = min(1.0, float(np.log1p(20)) / 5)
    assert weights.tolist()[:2] == [SNIPPET_WEIGHT, SNIPPET_WEIGHT]
    assert weights[3] == pytest.approx(long)
    assert weights[2] == pytest.approx(DISPUTED * min(1.0, float(np.log1p(19)) / 5))
