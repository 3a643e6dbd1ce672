import pytest

from whorl.corpus.filters import Filter


def test_both_bounds_are_allowed_lengths_in_characters(verdict_on):
    found = verdict_on({"use": "length", "min_chars": 3, "max_chars": 5}, ["ab", "abc", "\u00e9" * 5, "abcdef"])
    assert found.reason.to_pylist() == ["too_short", None, None, "too_long"]


def test_default_drops_only_empty_texts(verdict_on):
    assert verdict_on({"use": "length"}, ["", "x"]).reason.to_pylist() == ["too_short", None]


def test_crossed_bounds_are_refused():
    with pytest.raises(ValueError, match="max_chars=3 is below min_chars=5"):
        Filter.model_validate({"use": "length", "min_chars": 5, "max_chars": 3})
