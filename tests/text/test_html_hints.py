"""Phrases in attribute values: edges of words, capitals, phrases inside phrases."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.text.html_hints import HIDDEN, LD_JSON, LICENCE, MAX_BIT, hint_automaton, hints_in

WORDS = {0: ("|nav|",), 1: ("comment",), 2: ("share|",), 3: ("|entry|content|",), 4: ("|he|", "she", "|hers")}
HINTS = hint_automaton(WORDS)


@pytest.mark.parametrize(
    ("value", "bits"),
    [
        ("nav", {0}),
        ("navbar", set()),
        ("mainNav", {0}),
        ("MAIN-NAV", {0}),
        ("nav2", {0}),
        ("", set()),
        ("  nav  footer", {0}),
        ("usercomments", {1}),
        ("timeshare shareholder", {2}),
        ("shareholder", set()),
        ("entry-content", {3}),
        ("entryContent", {3}),
        ("entry  content", {3}),
        ("entrycontent", set()),
        ("ushers", {4}),
        ("she said he", {4}),
        ("n\u00e4v nav\u00e4", {0}),
    ],
)
def test_phrases_are_found_where_their_edges_allow(value, bits):
    assert hints_in(value, HINTS) == sum(1 << bit for bit in bits)


def test_phrases_of_the_tokenizer_are_always_found_unless_it_is_told_so():
    assert hints_in("Display : NONE", HINTS) == 1 << HIDDEN
    assert hints_in("application/ld+json", HINTS) == 1 << LD_JSON
    assert hints_in("license nofollow", HINTS) == 1 << LICENCE
    assert hints_in("display:none", hint_automaton({0: ("x",)}, of_page=False)) == 0


def test_an_impossible_bit_or_letter_is_refused():
    with pytest.raises(ValueError, match=f"want 0 to {MAX_BIT}"):
        hint_automaton({MAX_BIT + 1: ("a",)})
    with pytest.raises(ValueError, match="want lower-case letters"):
        hint_automaton({0: ("a b",)})


def reads_as(value):
    """The value as the automaton reads it, spelt out."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "|", value)
    return re.sub(r"[^a-z]+", "|", f"|{apart}|".lower() if apart.isascii() else f"|{apart}|".replace("\u212a", " ").lower())


@given(value=st.text("aehnrsvcomtENAV- _2\u00e4", max_size=30))
def test_the_automaton_equals_searching_for_every_phrase(value):
    expected = sum(1 << bit for bit, phrases in WORDS.items() if any(phrase in reads_as(value) for phrase in phrases))
    assert hints_in(value, HINTS) == expected
