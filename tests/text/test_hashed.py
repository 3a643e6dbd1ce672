import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.text.batch import TextBatch
from whorl.text.hashed import Features, Rows, hashed_rows, margins

TEXTS = st.lists(st.text(max_size=60), max_size=5)


def batch(*texts):
    return TextBatch(pa.array(texts, pa.large_string()))


def row(text, **features):
    """The row of one text: place -> value."""
    rows = hashed_rows(batch(text), Features(**features))
    return dict(zip(rows.places.tolist(), rows.values.tolist(), strict=True))


def test_values_are_the_logarithm_of_counts_over_the_length_of_the_row():
    values = sorted(row("red red red blue", words=1).values())
    weights = [np.log(2), np.log(4)]  # blue once, red three times
    assert values == pytest.approx([w / np.hypot(*weights) for w in weights], rel=1e-6)


def test_word_ngrams_up_to_a_length_are_counted():
    assert len(row("a b c", words=1)) == 3
    assert len(row("a b c", words=2)) == 5
    assert len(row("a b c", words=3)) == 6
    assert row("a b c", words=2).keys() < row("a b c", words=3).keys()


def test_a_word_and_a_pair_of_it_are_different_features():
    assert len(row("a a", words=2)) == 2


def test_word_order_matters_in_pairs_and_not_in_words():
    assert row("red fox", words=1) == row("fox red", words=1)
    assert row("red fox", words=2) != row("fox red", words=2)


def test_case_does_not_count_and_punctuation_does():
    assert row("Red FOX", words=2) == row("red fox", words=2)
    assert row("red fox!", words=2) != row("red fox", words=2)


def test_character_ngrams_are_windows_of_whole_characters():
    assert len(row("abcd", words=0, chars=3)) == 2
    assert len(row("\u6f22\u5b57\u6587", words=0, chars=2)) == 2
    assert row("ab", words=0, chars=3) == {}
    assert row("ABCD", words=0, chars=3) == row("abcd", words=0, chars=3)


def test_a_text_without_ngrams_has_an_empty_row():
    rows = hashed_rows(batch("", "x", " \n"), Features(words=1))
    assert rows.first.tolist() == [0, 0, 1, 1]


def test_places_are_the_upper_bits_of_one_hash():
    many = " ".join(f"w{n}" for n in range(500))
    wide, narrow = hashed_rows(batch(many), Features(bits=20)), hashed_rows(batch(many), Features(bits=12))
    assert {int(place) >> 8 for place in wide.places} == set(narrow.places.tolist())
    assert len(np.unique(wide.places)) > 990  # 999 n-grams over a million places
    assert narrow.places.max() < 1 << 12


@given(texts=TEXTS)
def test_a_row_has_unit_length_and_does_not_depend_on_its_batch(texts):
    features = Features(words=2, chars=3, bits=16)
    together = hashed_rows(batch(*texts), features)
    for i, text in enumerate(texts):
        alone = hashed_rows(batch(text), features)
        part = slice(together.first[i], together.first[i + 1])
        assert np.array_equal(alone.places, together.places[part])
        assert np.array_equal(alone.values, together.values[part])
        assert len(alone.values) == 0 or np.square(alone.values, dtype=float).sum() == pytest.approx(1, rel=1e-5)
        assert len(np.unique(alone.places)) == len(alone.places)


@given(texts=TEXTS, words=st.integers(0, 3), chars=st.integers(0, 4))
def test_margins_equal_the_rows_times_the_weights(texts, words, chars):
    features = Features(words=words, chars=chars, bits=10)
    weights = np.random.default_rng(0).normal(size=1 << 10).astype(np.float32)
    rows = hashed_rows(batch(*texts), features)
    wanted = np.zeros(len(texts))
    text_of = np.repeat(np.arange(len(texts)), np.diff(rows.first))
    np.add.at(wanted, text_of, rows.values.astype(float) * weights[rows.places])
    assert margins(batch(*texts), features, weights) == pytest.approx(wanted, rel=1e-12, abs=1e-12)


def test_joined_rows_are_the_rows_of_the_joined_texts():
    features = Features()
    parts = [hashed_rows(batch("a b"), features), hashed_rows(batch(), features), hashed_rows(batch("", "c d e"), features)]
    whole = hashed_rows(batch("a b", "", "c d e"), features)
    for joined, wanted in zip(Rows.join(parts), whole, strict=True):
        assert np.array_equal(joined, wanted)
    assert Rows.join([]).first.tolist() == [0]
