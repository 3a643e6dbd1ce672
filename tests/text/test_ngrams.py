import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.text.batch import TextBatch
from whorl.text.ngrams import NgramIndex, WordStream


def stream(*texts):
    return WordStream.of(TextBatch(pa.array(texts, pa.large_string())).words)


def grams(texts, n):
    return {tuple(text.split()[i : i + n]) for text in texts for i in range(len(text.split()) - n + 1)}


def longest(left, right):
    return max((n for n in range(60) if n == 0 or grams(left, n) & grams(right, n)), default=0)


def test_longest_shared_phrase_is_found():
    index = NgramIndex(stream("we saw the quick brown fox today", "nothing here"))
    assert index.longest_shared(stream("The QUICK, brown fox!", "saw it")) == 4


def test_phrases_do_not_cross_the_end_of_a_text():
    index = NgramIndex(stream("a b", "c d"))
    assert index.longest_shared(stream("a b c d")) == 2


def test_a_long_copied_passage_is_measured_to_the_word():
    passage = " ".join(f"w{i}" for i in range(300))
    index = NgramIndex(stream(f"before {passage} after"))
    assert index.longest_shared(stream(f"other start {passage} and other end")) == 300


def test_nothing_shared_is_zero_and_a_floor_is_kept():
    assert NgramIndex(stream("a b c")).longest_shared(stream("x y z")) == 0
    assert NgramIndex(stream("a b c")).longest_shared(stream("a b z"), at_least=5) == 5
    assert NgramIndex(stream()).longest_shared(stream()) == 0


def test_share_of_ngrams_found_counts_different_ones():
    index = NgramIndex(stream("a b c d", "a b c d"))  # different bigrams: ab bc cd
    assert index.found_in(stream("x b c y"), 2).sum() == 1
    assert len(index.of(2)) == 3


TEXTS = st.lists(st.lists(st.sampled_from("abcd"), max_size=25).map(" ".join), max_size=4)


@settings(max_examples=50, deadline=None)
@given(left=TEXTS, right=TEXTS, n=st.integers(1, 6))
def test_overlap_equals_overlap_of_sets_of_tuples(left, right, n):
    index = NgramIndex(stream(*left))
    assert len(index.of(n)) == len(grams(left, n))
    assert index.found_in(stream(*right), n).sum() == len(grams(left, n) & grams(right, n))
    assert index.longest_shared(stream(*right)) == longest(left, right)


def test_joined_streams_equal_one_stream():
    joined = WordStream.join([stream("a b", "c"), stream(), stream("d e f")])
    whole = stream("a b", "c", "d e f")
    assert np.array_equal(joined.hashes, whole.hashes)
    assert np.array_equal(joined.first, whole.first)
    assert WordStream.join([]).first.tolist() == [0]
