import math
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field
from toy_shop.filters.min_words import MinWords

from whorl.core.canonical import ABSENT, Change, changes, digest, encode, plain
from whorl.core.config import UNHASHED, Config, Ref
from whorl.core.quantity import Length

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=8
)


class Clean(Config):
    source: Ref[Literal["documents"]] = Field(alias="from")
    filters: tuple[MinWords, ...] = ()
    keep: frozenset[str] = frozenset({"fr", "en"})
    length: Length = Length(2e6, "tokens")
    shares: dict[str, float] = Field(default={"a": 0.5})
    workers: int = Field(default=1, json_schema_extra=UNHASHED)


CLEAN = Clean.model_validate({"from": "pages.train", "filters": [{"limit": 3}]})


def test_a_config_is_drawn_as_a_recipe_writes_it() -> None:
    assert plain(CLEAN) == {
        "from": "pages.train",
        "filters": [{"use": "toy_shop.filters.min_words:MinWords", "limit": 3}],
        "keep": ["en", "fr"],
        "length": "2000000 tokens",
        "shares": {"a": 0.5},
        "workers": 1,
    }


def test_what_is_hashed_leaves_out_workers_and_the_names_of_references() -> None:
    hashed = plain(CLEAN, hashed_only=True)
    assert "workers" not in hashed
    assert hashed["from"] == {"part": "train"}


def test_a_drawn_config_validates_to_an_equal_one() -> None:
    assert Clean.model_validate(plain(CLEAN)) == CLEAN


@pytest.mark.parametrize("value", [len, object(), lambda: 3, b"bytes", [1, {"x": print}]])
def test_callables_and_objects_with_addresses_are_refused(value: object) -> None:
    with pytest.raises(TypeError, match="has no canonical spelling"):
        plain(value)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_json_cannot_say_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode(plain(value))


def test_encoding_does_not_depend_on_the_order_of_keys() -> None:
    assert encode({"b": [1, True], "a": "\u00e9"}) == '{"a":"\\u00e9","b":[1,true]}'
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})


def test_a_digest_is_sha256_of_the_encoding() -> None:
    # printf '{"a":1}' | sha256sum
    assert digest({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"


@given(before=values, after=values)
def test_there_are_changes_exactly_where_digests_differ(before: Any, after: Any) -> None:
    assert bool(list(changes(before, after))) == (digest(before) != digest(after))


def test_changes_name_place_and_both_values() -> None:
    before = {"config": {"rows": 8, "gone": 1, "name": None}, "list": [1, 2, 3], "same": 1}
    after = {"config": {"rows": 16, "new": None}, "list": [1, 5], "same": 1}
    assert list(changes(before, after)) == [
        Change("config.rows", 8, 16),
        Change("config.new", ABSENT, None),
        Change("config.gone", 1, ABSENT),
        Change("config.name", None, ABSENT),
        Change("list.1", 2, 5),
        Change("list.2", 3, ABSENT),
    ]
    assert list(changes([1], [1, 2])) == [Change(".1", ABSENT, 2)]


def test_a_change_of_type_is_a_change() -> None:
    assert [str(change) for change in changes({"x": 1}, {"x": True})] == ["x: 1 -> true"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (Change("a", ABSENT, None), "a: (absent) -> null"),
        (Change("a", "f" * 64, "z" * 64), f"a: {'f' * 12} -> {'z' * 57}..."),
        (Change("a", [1, 2], "short"), "a: [1,2] -> short"),
    ],
)
def test_a_change_reads_as_one_short_line(change: Change, text: str) -> None:
    assert str(change) == text
