"""The compiled splitter equals its plain-Python definition, and both do what a reader would."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.text.columns import text_buffers
from whorl.text.reference import reference_counts, reference_tokens
from whorl.text.words import COUNTS, split, word_hash

# Ordinary text, and the characters on which splitters disagree.
ODD = "'\u2019\u2026..-*#_ \t\n\r\v\x1c\x85\u2028\u00a0\u0301\u200d\ufe0f\u4e2d\u3042\u0130\u03a3\U0001f600\u0e01\u0664\ud7ff"
TEXTS = st.lists(st.text(st.one_of(st.sampled_from(ODD), st.characters(codec="utf-8")), max_size=40), max_size=6)


def tokens_of(text):
    words = split(text_buffers(pa.array([text])))
    data = text.encode()
    return [data[a:b].decode() for a, b in zip(words.starts, words.ends, strict=True)]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Don't stop, now!", ["Don't", "stop", ",", "now", "!"]),
        ("rock'n'roll 'tis", ["rock'n'roll", "'", "tis"]),
        ("snake_case 3rd x2", ["snake_case", "3rd", "x2"]),
        ("wait... what?!", ["wait", "...", "what", "?", "!"]),
        ("see example.com, 3.14 or 1,000 at 10:30", ["see", "example.com", ",", "3.14", "or", "1,000", "at", "10:30"]),
        ("either/or a-b 1/2", ["either", "/", "or", "a", "-", "b", "1/2"]),
        ("\u6f22\u5b57 \u304b\u306a", ["\u6f22", "\u5b57", "\u304b", "\u306a"]),
        ("\u0928\u092e\u0938\u094d\u0924\u0947", ["\u0928\u092e\u0938\u094d\u0924\u0947"]),  # a word with vowel signs
        ("cafe\u0301", ["cafe\u0301"]),  # a combining accent
        ("", []),
        (" \n\t ", []),
    ],
)
def test_words_are_split_as_a_reader_would(text, tokens):
    assert tokens_of(text) == tokens


@settings(max_examples=50, deadline=None)
@given(texts=TEXTS)
def test_kernel_finds_the_tokens_of_the_reference(texts):
    words = split(text_buffers(pa.array(texts, pa.large_string())))
    begin = 0
    for i, text in enumerate(texts):
        rows = slice(words.first[i], words.first[i + 1])
        found = list(zip(words.starts[rows], words.ends[rows], words.is_word[rows], words.hashes[rows], strict=True))
        wanted = [
            (begin + len(text[: t.start].encode()), begin + len(text[: t.end].encode()), t.is_word, t.hash)
            for t in reference_tokens(text)
        ]
        assert found == wanted
        begin += len(text.encode())


@settings(max_examples=50, deadline=None)
@given(texts=TEXTS)
def test_kernel_counts_what_the_reference_counts(texts):
    counts = split(text_buffers(pa.array(texts, pa.large_string()))).counts
    assert [dict(zip(COUNTS, row.tolist(), strict=True)) for row in counts] == [reference_counts(t) for t in texts]


def test_statistics_of_a_page_counted_by_hand():
    page = "# Title\n\n- first item\n* second...\r\nThe end\u2026"
    row = split(text_buffers(pa.array([page]))).counts[0]
    assert dict(zip(COUNTS, row.tolist(), strict=True)) == {
        "num_chars": 43,
        "num_tokens": 11,  # '#' Title '-' first item '*' second '...' The end and the ellipsis
        "num_words": 6,
        "num_word_chars": 5 + 5 + 4 + 6 + 3 + 3,
        "num_alphabetic_words": 6,
        "num_hashes": 1,
        "num_ellipses": 2,
    }


def test_hash_of_a_word_ignores_case_and_the_kind_of_apostrophe():
    assert word_hash("Don't") == word_hash("DON\u2019T")
    assert word_hash("\u00c9T\u00c9") == word_hash("\u00e9t\u00e9")
    assert word_hash("dont") != word_hash("don't")


def test_a_slice_of_a_column_is_split_like_the_same_texts_alone():
    column = pa.array(["one two", "three", "four five six", ""], pa.large_string())
    part, alone = split(text_buffers(column.slice(1, 2))), split(text_buffers(pa.array(["three", "four five six"])))
    assert np.array_equal(part.counts, alone.counts)
    assert np.array_equal(part.hashes, alone.hashes)
    assert part.starts[0] == len("one two")  # places are bytes of the whole column


def test_a_word_of_ten_megabytes_is_one_word():
    words = split(text_buffers(pa.array(["a" * 10_000_000 + " b"])))
    assert words.counts[0, COUNTS.index("num_words")] == 2


def test_punctuation_is_left_out_of_only_words():
    words = split(text_buffers(pa.array(["a, b.", "", "c!"])))
    hashes, first = words.only_words()
    assert hashes.tolist() == [word_hash("a"), word_hash("b"), word_hash("c")]
    assert first.tolist() == [0, 2, 2, 3]
