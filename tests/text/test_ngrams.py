import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.text.batch import TextBatch
from whorl.text.ngrams import SharedPlaces, WordStream, find_ngrams, longest_shared


def stream(*texts):
    return WordStream.of(TextBatch(pa.array(texts, pa.large_string())).words)


def grams(texts, n):
    return {tuple(text.split()[i : i + n]) for text in texts for i in range(len(text.split()) - n + 1)}


def longest(left, right):
    return max((n for n in range(60) if n == 0 or grams(left, n) & grams(right, n)), default=0)


def longest_of(left, right, at_least=1):
    own, other = stream(*left), stream(*right)
    known, there = np.unique(own.ngrams(at_least)), np.unique(other.ngrams(at_least))
    places = SharedPlaces(find_ngrams(own, at_least, there).places, find_ngrams(other, at_least, known).places)
    return longest_shared(own, other, places, at_least=at_least) if len(places.left) else 0


def test_longest_shared_phrase_is_found():
    assert longest_of(["we saw the quick brown fox today", "nothing here"], ["The QUICK, brown fox!", "saw it"]) == 4


def test_phrases_do_not_cross_the_end_of_a_text():
    assert longest_of(["a b", "c d"], ["a b c d"]) == 2


def test_a_long_copied_passage_is_measured_to_the_word():
    passage = " ".join(f"w{i}" for i in range(300))
    assert longest_of([f"before {passage} after"], [f"other start {passage} and other end"], at_least=13) == 300


def test_more_places_than_are_shared_do_no_harm():
    own, other = stream("a b c x", "c b a"), stream("y a b c")
    assert longest_shared(own, other, SharedPlaces(own.places(1), other.places(1)), at_least=1) == 3


TEXTS = st.lists(st.lists(st.sampled_from("abcd"), max_size=25).map(" ".join), max_size=4)


@settings(max_examples=50, deadline=None)
@given(left=TEXTS, right=TEXTS, n=st.integers(1, 6))
def test_overlap_equals_overlap_of_sets_of_tuples(left, right, n):
    known = np.unique(stream(*left).ngrams(n))
    assert len(known) == len(grams(left, n))
    assert len(np.unique(find_ngrams(stream(*right), n, known).entries)) == len(grams(left, n) & grams(right, n))
    truth = longest(left, right)
    assert longest_of(left, right, at_least=n) == (truth if truth >= n else 0)


def test_joined_streams_equal_one_stream():
    joined = WordStream.join([stream("a b", "c"), stream(), stream("d e f")])
    whole = stream("a b", "c", "d e f")
    assert np.array_equal(joined.hashes, whole.hashes)
    assert np.array_equal(joined.first, whole.first)
    assert WordStream.join([]).first.tolist() == [0]


@settings(max_examples=50, deadline=None)
@given(left=TEXTS, right=TEXTS, n=st.integers(1, 6))
def test_every_occurrence_of_a_known_ngram_is_found_where_it_is(left, right, n):
    known = np.unique(stream(*left).ngrams(n))
    other = stream(*right)
    found = find_ngrams(other, n, known)
    words = [text.split() for text in right]
    begins = other.first[:-1].tolist()
    wanted = [
        begin + i
        for begin, own in zip(begins, words, strict=True)
        for i in range(len(own) - n + 1)
        if tuple(own[i : i + n]) in grams(left, n)
    ]
    assert found.places.tolist() == wanted
    assert np.array_equal(known[found.entries], other.ngrams(n, found.places))
