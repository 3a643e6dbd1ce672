import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.text.lsh import candidate_pairs, linked_pairs
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
