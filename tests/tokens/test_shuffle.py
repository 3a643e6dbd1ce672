import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from whorl.core.seed import Seed
from whorl.tokens.shuffle import drawn_below, place_of, shuffled


@njit
def _order(num, key, order):
    for place in range(num):
        order[place] = shuffled(place, num, key)


@njit
def _places(num, key, places):
    for number in range(num):
        places[number] = place_of(number, num, key)


def order(num, key):
    found = np.empty(num, np.int64)
    _order(num, np.uint64(key), found)
    return found


@given(num=st.integers(1, 3000), key=st.integers(0, 2**64 - 1))
def test_every_number_has_one_place_and_the_way_back_finds_it(num, key):
    found, places = order(num, key), np.empty(num, np.int64)
    _places(num, np.uint64(key), places)
    assert sorted(found.tolist()) == list(range(num))
    assert (found[places] == np.arange(num)).all()


@pytest.mark.parametrize("num", [2, 3, 4, 5])
def test_few_numbers_take_every_order_equally_often(num):
    draws = 6000
    seen = Counter(tuple(order(num, Seed(3).child(str(n)).number)) for n in range(draws))
    orders = math.factorial(num)
    expected = draws / orders
    squares = sum((count - expected) ** 2 / expected for count in seen.values()) + (orders - len(seen)) * expected
    assert squares < orders + 4 * math.sqrt(2 * orders)  # chi-squared, four standard deviations


@pytest.mark.parametrize("num", [17, 40])
def test_who_stands_first_and_second_is_drawn_evenly_even_from_keys_that_follow_each_other(num):
    draws = 20_000
    pairs = np.zeros((num, num))
    for key in range(draws):
        pairs[tuple(order(num, key)[:2])] += 1
    apart = pairs[~np.eye(num, dtype=bool)]
    expected = draws / len(apart)
    squares = float(((apart - expected) ** 2 / expected).sum())
    assert abs(squares - len(apart)) < 5 * math.sqrt(2 * len(apart))
    assert pairs.trace() == 0


def test_a_long_order_has_no_trend_and_no_memory():
    found = order(200_000, 7).astype(float)
    assert abs(np.corrcoef(np.arange(len(found)), found)[0, 1]) < 0.01
    assert abs(np.corrcoef(found[1:], found[:-1])[0, 1]) < 0.01


def test_numbers_far_beyond_32_bits_are_shuffled():
    num, key = 10**13, np.uint64(5)
    places = [0, 1, num - 1, 123_456_789_012]
    numbers = [int(shuffled(place, num, key)) for place in places]
    assert all(0 <= number < num for number in numbers)
    assert [int(place_of(number, num, key)) for number in numbers] == places


def test_what_is_drawn_below_a_bound_stays_below_and_is_even():
    drawn = np.array([drawn_below(np.uint64(9), n, 6) for n in range(6000)])
    counts = np.bincount(drawn, minlength=6)
    assert len(counts) == 6
    assert ((counts - 1000) ** 2 / 1000).sum() < 20.5  # chi-squared of 5 degrees: one in a thousand
