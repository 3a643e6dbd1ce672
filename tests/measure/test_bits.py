import math

import pytest

from whorl.measure.bits import bits_per_byte


def test_a_uniform_choice_of_256_costs_eight_bits_per_byte():
    assert bits_per_byte(10 * math.log(256), 10) == pytest.approx(8.0, rel=1e-12)


def test_one_coin_toss_per_byte_costs_one_bit():
    assert bits_per_byte(3 * math.log(2), 3) == pytest.approx(1.0, rel=1e-12)


def test_a_text_without_bytes_is_refused():
    with pytest.raises(ValueError, match="at least one byte"):
        bits_per_byte(1.0, 0)
