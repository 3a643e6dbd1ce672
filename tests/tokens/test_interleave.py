import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.core.errors import ConfigError
from whorl.tokens.interleave import PERIOD, Interleave

weights = st.lists(st.floats(0.01, 100), min_size=1, max_size=8)


@settings(max_examples=20)
@given(weights=weights)
def test_every_beginning_has_every_share_within_one_row(weights):
    order = Interleave(weights)
    source = order.turns(range(PERIOD)).source
    beginnings = np.arange(1, PERIOD + 1)
    for number, share in enumerate(order.shares):
        had = np.cumsum(source == number)
        assert np.abs(had - beginnings * share).max() < 1
    assert order.shares == pytest.approx(np.array(weights) / sum(weights), abs=1 / PERIOD)


@settings(max_examples=20)
@given(weights=weights, first=st.integers(0, 3 * PERIOD), length=st.integers(0, 50))
def test_turns_found_anywhere_are_those_of_a_straight_count(weights, first, length):
    order = Interleave(weights)
    turns = order.turns(range(first, first + length))
    for number in range(len(weights)):
        mine = np.flatnonzero(turns.source == number)
        assert turns.ordinal[mine].tolist() == list(range(order.had(number, first), order.had(number, first + length)))
        assert order.rows_of(number, turns.ordinal[mine]).tolist() == (first + mine).tolist()


def test_three_to_one_is_dealt_evenly():
    assert Interleave([3, 1]).turns(range(8)).source.tolist() == [0, 0, 1, 0, 0, 0, 1, 0]


def test_counts_grow_by_a_quota_a_period():
    order = Interleave([2, 1, 1])
    assert [order.had(0, n * PERIOD) for n in (0, 1, 7)] == [0, PERIOD // 2, 7 * PERIOD // 2]


def test_a_source_that_would_never_have_a_row_is_an_error():
    with pytest.raises(ConfigError, match=r"source 1 of 2 would have .* of 1048576 rows, which is less than one"):
        Interleave([1.0, 1e-9])
