from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.text.lsh import (
    NO_MATCH,
    KnownTable,
    candidate_pairs,
    known_matches,
    linked_pairs,
    recall_at,
    recall_curve,
    sorted_bands,
)
from whorl.text.minhash import NO_WORDS


def linked_keys(table, keys, *, bands, threshold):
    pairs = linked_pairs(table, keys, bands=bands, threshold=threshold)
    return {frozenset((int(keys[a]), int(keys[b]))) for a, b in pairs}


def test_rows_that_agree_on_one_band_are_candidates():
    table = np.array([[1, 2, 3, 4], [1, 2, 9, 9], [7, 7, 3, 4], [5, 6, 7, 8]], dtype=np.uint32)
    pairs = candidate_pairs(table, np.arange(4, dtype=np.uint64), bands=2)
    assert pairs.tolist() == [[0, 1], [0, 2]]


def test_candidates_below_the_threshold_are_not_linked():
    table = np.array([[1, 2, 3, 4], [1, 2, 9, 9]], dtype=np.uint32)
    keys = np.arange(2, dtype=np.uint64)
    assert linked_keys(table, keys, bands=2, threshold=0.5) == {frozenset((0, 1))}
    assert linked_keys(table, keys, bands=2, threshold=0.51) == set()


def test_texts_without_words_resemble_nothing():
    table = np.full((3, 4), NO_WORDS, dtype=np.uint32)
    assert len(candidate_pairs(table, np.arange(3, dtype=np.uint64), bands=2)) == 0


def test_an_empty_table_has_no_pairs():
    assert candidate_pairs(np.zeros((0, 4), dtype=np.uint32), np.zeros(0, dtype=np.uint64), bands=2).shape == (0, 2)


def test_a_large_bucket_gives_pairs_in_proportion_to_its_size():
    table = np.ones((1000, 8), dtype=np.uint32)
    assert len(candidate_pairs(table, np.arange(1000, dtype=np.uint64), bands=4)) <= 2 * 1000


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.tuples(*[st.integers(0, 2)] * 4), min_size=1, max_size=12), order=st.randoms(use_true_random=False))
def test_links_do_not_depend_on_the_order_of_rows(rows, order):
    table, keys = np.array(rows, dtype=np.uint32), np.arange(len(rows), dtype=np.uint64) * 7919
    shuffled = list(range(len(rows)))
    order.shuffle(shuffled)
    before = linked_keys(table, keys, bands=2, threshold=0.5)
    assert linked_keys(table[shuffled], keys[shuffled], bands=2, threshold=0.5) == before


def test_without_a_threshold_recall_is_the_textbook_formula():
    for bands, rows in ((14, 8), (20, 6), (1, 1), (3, 1)):
        found = recall_at([0.0, 0.3, 0.8, 1.0], bands=bands, rows=rows)
        assert found == pytest.approx([1 - (1 - s**rows) ** bands for s in (0.0, 0.3, 0.8, 1.0)], abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(bands=st.integers(1, 3), rows=st.integers(1, 3), s=st.floats(0, 1), threshold=st.floats(0, 1))
def test_recall_equals_counting_every_pattern_of_agreeing_entries(bands, rows, s, threshold):
    total = 0.0
    for agrees in product((True, False), repeat=bands * rows):
        meets = any(all(agrees[band * rows : (band + 1) * rows]) for band in range(bands))
        if meets and sum(agrees) >= threshold * bands * rows - 1e-9:
            total += s ** sum(agrees) * (1 - s) ** (bands * rows - sum(agrees))
    assert recall_at([s], bands=bands, rows=rows, threshold=threshold)[0] == pytest.approx(total, abs=1e-9)


def test_recall_rises_with_similarity_and_falls_with_the_threshold():
    lax, strict = recall_curve(14, 8, 0.5), recall_curve(14, 8, 0.8)
    assert list(lax.values()) == sorted(lax.values())
    assert all(strict[s] < lax[s] for s in lax)
    assert strict[0.95] > 0.999


def known(*rows, bands=2):
    table = np.array(rows, dtype=np.uint32).reshape(-1, 4)
    return KnownTable(table, tuple(sorted_bands(table, bands)))


def test_a_row_matches_the_known_row_that_resembles_it_most():
    before = known([1, 2, 3, 4], [1, 2, 3, 9], [5, 5, 5, 5])
    new = np.array([[1, 2, 3, 9], [1, 2, 8, 8], [6, 6, 6, 6], [NO_WORDS] * 4], dtype=np.uint32)
    found = known_matches(new, before, 0.5)
    assert found.known.tolist() == [1, 0, NO_MATCH, NO_MATCH]  # the second resembles both alike: the first of them
    assert found.similarity.tolist() == [1.0, 0.5, 0.0, 0.0]
    assert known_matches(new, before, 0.6).known.tolist() == [1, NO_MATCH, NO_MATCH, NO_MATCH]


def test_nothing_matches_an_empty_table():
    assert known_matches(np.ones((2, 4), dtype=np.uint32), known(), 0.5).known.tolist() == [NO_MATCH] * 2


@settings(max_examples=50, deadline=None)
@given(
    new=st.lists(st.tuples(*[st.integers(0, 2)] * 4), max_size=8),
    old=st.lists(st.tuples(*[st.integers(0, 2)] * 4), max_size=8),
    threshold=st.sampled_from([0.0, 0.5, 0.75, 1.0]),
)
def test_matches_equal_comparing_every_row_with_every_known_row(new, old, threshold):
    found = known_matches(np.array(new, dtype=np.uint32).reshape(-1, 4), known(*old), threshold)
    for row, match in zip(new, found.known.tolist(), strict=True):
        alike = {number: sum(a == b for a, b in zip(row, other, strict=True)) / 4 for number, other in enumerate(old)}
        meets = {n for n, other in enumerate(old) if row[:2] == other[:2] or row[2:] == other[2:]}
        close = [n for n in meets if alike[n] >= threshold]
        assert match == min(close, key=lambda n: (-alike[n], n), default=NO_MATCH)
