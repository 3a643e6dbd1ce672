"""Compiled counts of repetition equal their plain-Python definition; the worst texts take linear time and memory."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.text.batch import TextBatch
from whorl.text.reference_repetition import reference_line_repetition, reference_ngram_repetition
from whorl.text.repetition import LINE_REPETITION, NGRAM_REPETITION, line_repetition, ngram_repetition

WORDS = st.lists(st.sampled_from(["a", "b", "cc", "the", ".", "\u4e2d", "\n", "\n\n", " \n"]), max_size=60).map(" ".join)
LINES = st.lists(st.sampled_from(["", " ", "one line", "another", "a b", "\t"]), max_size=14).map("\n".join)
TEXTS = st.lists(st.one_of(WORDS, LINES, st.text(max_size=30)), min_size=1, max_size=4)


def batch(texts):
    return TextBatch(pa.array(texts, pa.large_string()))


@settings(deadline=None)
@given(texts=TEXTS)
def test_kernels_count_what_the_reference_counts(texts):
    one = batch(texts)
    lines = [dict(zip(LINE_REPETITION, row, strict=True)) for row in line_repetition(one.lines).tolist()]
    ngrams = [dict(zip(NGRAM_REPETITION, row, strict=True)) for row in ngram_repetition(one.words).tolist()]
    assert lines == [reference_line_repetition(text) for text in texts]
    assert ngrams == [reference_ngram_repetition(text) for text in texts]


def test_repetition_of_a_page_counted_by_hand():
    found = batch(["buy now\nbuy now\n\nlast line"]).statistics
    assert found["num_text_lines"].tolist() == [3]
    assert found["num_duplicate_lines"].tolist() == [1]
    assert found["num_duplicate_line_chars"].tolist() == [7]
    assert found["num_paragraphs"].tolist() == [2]
    assert found["num_top_2gram_chars"].tolist() == [2 * len("buy now")]
    assert found["num_duplicate_5gram_chars"].tolist() == [0]


def test_a_word_repeated_a_million_times_is_all_duplicate():
    found = batch(["spam " * 1_000_000]).statistics
    assert found["num_duplicate_10gram_chars"][0] > 3_999_000
    assert found["num_top_2gram_chars"][0] == 9 * 999_999
