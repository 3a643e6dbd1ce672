"""The compiled splitter of lines equals its plain-Python definition, and both do what a reader would."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.text.columns import text_buffers
from whorl.text.lines import BULLET, CURLY, ELLIPSIS, JAVASCRIPT, LOREM_IPSUM, POLICY, TERMINAL, has_long_word, split_lines
from whorl.text.reference_lines import reference_lines, reference_sentences

# What lines and sentences turn on, beside any character.
ODD = " \t\n\r\v\x1c\x85\u2028\u00a0.!?\u3002\u2026-*{\"')]aAzZ5\u0301\u4e2d\u0130"
PIECES = [
    "Lorem ipsum",
    "javascript",
    "privacy policy",
    "use cookies",
    "Mr. Smith",
    "e.g. this",
    "U.S. law",
    "...",
    "end.Begin",
    "\r\n",
]
TEXT = st.lists(st.one_of(st.sampled_from([*ODD, *PIECES]), st.characters(codec="utf-8")), max_size=40).map("".join)
TEXTS = st.lists(TEXT, max_size=6)


def lines_of(texts):
    return split_lines(text_buffers(pa.array(texts, pa.large_string())))


@settings(deadline=None)
@given(texts=TEXTS)
def test_kernel_finds_the_lines_of_the_reference(texts):
    lines, data = lines_of(texts), "".join(texts).encode()
    for i, text in enumerate(texts):
        rows = slice(lines.first[i], lines.first[i + 1])
        found = [data[a:b].decode() for a, b in zip(lines.starts[rows], lines.ends[rows], strict=True)]
        wanted = reference_lines(text)
        assert found == [line.text for line in wanted] == text.splitlines()
        for column in ("chars", "words", "sentences", "last", "flags"):
            assert getattr(lines, column)[rows].tolist() == [getattr(line, column) for line in wanted], column


@settings(deadline=None)
@given(texts=TEXTS)
def test_lines_hash_alike_where_they_are_alike(texts):
    lines, data = lines_of(texts), "".join(texts).encode()
    drawn = [data[a:b] for a, b in zip(lines.starts, lines.ends, strict=True)]
    for i, j in zip(range(len(drawn)), range(1, len(drawn)), strict=False):
        assert (drawn[i] == drawn[j]) == (lines.hashes[i] == lines.hashes[j])


@pytest.mark.parametrize(
    ("line", "sentences"),
    [
        ("", 0),
        ("   ", 0),
        ("One sentence", 1),
        ("One. Two! Three?", 3),
        ("Mr. Smith came to the U.S. in May.", 1),
        ("He said so... and left. Then he came back.", 2),
        ("It ends.Without a blank.", 2),
        ("\u7b2c\u4e00\u53e5\u3002\u7b2c\u4e8c\u53e5\u3002", 2),
        ("3.14 is not two", 1),
    ],
)
def test_sentences_are_counted_as_a_reader_would(line, sentences):
    assert reference_sentences(line) == sentences == int(lines_of([line]).sentences.sum())


def test_flags_say_what_page_rules_ask():
    texts = ["- an item", "and then...", "LOREM IPSUM dolor", "uses JavaScript", "our Privacy Policy", "int x {", "The end."]
    wanted = [BULLET, ELLIPSIS, LOREM_IPSUM, JAVASCRIPT, POLICY, CURLY, TERMINAL]
    assert all(flags & bit for flags, bit in zip(lines_of(texts).flags.tolist(), wanted, strict=True))


def test_sums_go_by_text():
    lines = lines_of(["a\nb\n", "", "c"])
    assert lines.per_text(lines.chars).tolist() == [2, 0, 1]
    assert np.diff(lines.first).tolist() == [2, 0, 1]


def test_a_long_word_is_one_with_more_characters_than_the_limit():
    texts = ["x" * 10 + " y", "x" * 11, "\u00e9" * 10]
    buffers = text_buffers(pa.array(texts, pa.large_string()))
    assert has_long_word(buffers, split_lines(buffers), 10).tolist() == [False, True, False]


def test_one_line_of_ten_megabytes_is_one_line():
    lines = lines_of(["word " * 2_000_000])
    assert (len(lines.starts), int(lines.words[0])) == (1, 2_000_000)
