import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from whorl.corpus.draw import cut_off, order_of


def test_a_source_is_cut_where_the_bytes_are_enough():
    order = np.array([30, 10, 20], dtype=np.uint64)
    num_bytes = np.array([5, 1, 4], dtype=np.int64)
    everything = np.ones(3, dtype=np.bool_)
    assert cut_off(order, num_bytes, 0.1).copies(order, everything).tolist() == [0, 1, 0]
    assert cut_off(order, num_bytes, 0.2).copies(order, everything).tolist() == [0, 1, 1]
    assert cut_off(order, num_bytes, 1.0).copies(order, everything).tolist() == [1, 1, 1]
    assert cut_off(order, num_bytes, 2.5).copies(order, everything).tolist() == [2, 3, 3]


def test_outside_training_text_nothing_is_taken_twice():
    order = np.array([30, 10], dtype=np.uint64)
    quota = cut_off(order, np.array([1, 1], dtype=np.int64), 3.0)
    assert quota.copies(order, np.array([True, False])).tolist() == [3, 1]
    assert quota.is_repeating
    assert not cut_off(order, np.array([1, 1], dtype=np.int64), 1.0).is_repeating


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30), st.floats(0.001, 3), st.floats(0.001, 3), st.integers(0, 2**63))
def test_reading_more_often_takes_everything_taken_before(sizes, less, more, seed):
    order = order_of(np.arange(len(sizes), dtype=np.uint64), seed)
    num_bytes = np.array(sizes, dtype=np.int64)
    is_train = np.ones(len(sizes), dtype=np.bool_)
    fewer, many = (cut_off(order, num_bytes, times).copies(order, is_train) for times in sorted((less, more)))
    assert (fewer <= many).all()
    assert abs((many * num_bytes).sum() - max(less, more) * num_bytes.sum()) <= num_bytes.max()


def test_the_order_depends_on_id_and_seed_alone():
    ids = np.arange(1000, dtype=np.uint64)
    assert (order_of(ids, 1)[::-1] == order_of(ids[::-1], 1)).all()
    one, two = (np.argsort(np.argsort(order_of(ids, seed))) < 500 for seed in (1, 2))
    agreement = one == two
    assert 0.4 < agreement.mean() < 0.6
