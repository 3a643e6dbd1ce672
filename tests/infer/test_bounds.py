import re

import pytest

from whorl.core.errors import UsageError
from whorl.infer.bounds import Bounds, has_end

SMALL = Bounds(max_length=6, max_items=3, max_properties=2, max_digits=2)


@pytest.mark.parametrize("pattern", ["^a$", "^[*+]{2}$", r"^\*\+\{3,\}$", "^(a|b){0,4}(c(d|e))?$", "^[]a|]$", "^$"])
def test_a_pattern_with_an_end_is_known(pattern):
    assert has_end(pattern)
    assert re.compile(pattern)


@pytest.mark.parametrize(
    "pattern", ["a", "^a", "a$", "^a*$", "^a+$", "^a{3,}$", "^a|b$", "^(a|b)|c$", "^(ab*)$", "^((a$", "^.{0,}$"]
)
def test_a_pattern_that_may_have_none_is_not_taken_for_one_that_has(pattern):
    assert not has_end(pattern)


def test_a_string_is_as_long_as_it_must_be_and_no_longer():
    assert SMALL.of_string({}) == {"maxLength": 6}
    assert SMALL.of_string({"maxLength": 4}) == {"maxLength": 4}
    assert SMALL.of_string({"maxLength": 40}) == {"maxLength": 6}
    assert SMALL.of_string({"minLength": 9}) == {"maxLength": 9}
    assert SMALL.of_string({"format": "uuid"}) == {"maxLength": 36}
    assert SMALL.of_string({"pattern": "^a{9}$"}) == {}


def test_limits_of_the_schema_s_own_may_stay_however_wide():
    wide = Bounds(max_length=6, max_items=3, max_properties=2, only_open=True)
    assert wide.of_string({"maxLength": 40}) == {"maxLength": 40}
    assert wide.of_string({}) == {"maxLength": 6}
    assert wide.of_list({"maxItems": 9}, num_named=1) == {"maxItems": 9}
    assert wide.of_object({"maxProperties": 0}, num_named=0) == {"maxProperties": 0}
    assert wide.of_object({}, num_named=0) == {"maxProperties": 2}


def test_numbers_have_few_digits_but_all_that_their_own_limits_need():
    assert SMALL.of_number({}, is_integer=True) == {"minimum": -99, "maximum": 99}
    assert SMALL.of_number({}, is_integer=False) == {"minimum": -99, "maximum": 99, "multipleOf": 0.01}
    assert SMALL.of_number({"minimum": 5000}, is_integer=True) == {"maximum": 99999}
    assert SMALL.of_number({"exclusiveMinimum": 0.001, "maximum": 0.002}, is_integer=False) == {"multipleOf": 0.0001}
    assert SMALL.of_number({"multipleOf": 0.25}, is_integer=False) == {"minimum": -99, "maximum": 99}


def test_lists_and_objects_hold_what_is_described_and_little_else():
    assert SMALL.of_list({"minItems": 5}, num_named=1) == {"maxItems": 5}
    assert SMALL.of_list({"maxItems": 2}, num_named=4) == {"maxItems": 2}
    assert SMALL.of_object({}, num_named=1) == {"maxProperties": 3}
    assert SMALL.of_object({"maxProperties": 1}, num_named=0) == {"maxProperties": 1}


@pytest.mark.parametrize("wrong", [{"max_length": 0}, {"max_depth": -1}, {"max_digits": 10}])
def test_bounds_that_bound_nothing_or_all_are_refused(wrong):
    with pytest.raises(UsageError, match=f"got {next(iter(wrong))}="):
        Bounds(**wrong)
