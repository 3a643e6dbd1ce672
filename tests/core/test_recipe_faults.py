"""What a person who wrote a wrong recipe is told; every message is compared whole."""

from typing import Annotated, Any, Literal, Self

import pytest
from pydantic import Field, StringConstraints, ValidationError, model_validator
from toy_shop.filters import Filter
from toy_shop.suites import Suite

from whorl.core.config import Config, Ref
from whorl.core.quantity import Length
from whorl.core.recipe_faults import dotted, faults, shown


class Inner(Config):
    rows: int
    most: int = 100

    @model_validator(mode="after")
    def _rows_fit(self) -> Self:
        if self.rows > self.most:
            raise ValueError(f"rows={self.rows}: want at most {self.most}")
        return self


class Top(Config):
    seed: int = 0
    stages: dict[str, Inner] = Field(default_factory=dict)
    filters: tuple[Filter, ...] = ()
    tasks: tuple[Filter | Suite, ...] = ()
    data: Ref[Literal["tokens"]] | None = None
    start: Ref[Literal["tokens"]] | Filter | None = None
    length: Length = Length(3, "steps")
    dtype: Literal["bf16", "fp32"] = "bf16"
    either: int | str | None = None
    one_or_many: list[int] | int = 3
    weights: dict[int, int] = Field(default_factory=dict)
    pair: tuple[int, int] = (1, 2)
    some: tuple[int, ...] = Field(default=(1,), min_length=1)
    share: float = Field(default=1, gt=0, le=5)
    name: Annotated[str, StringConstraints(pattern="^[a-z]+$")] = "x"


def told(data: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Top.model_validate(data)
    return [f"{dotted(fault.place)}: {fault.what}" for fault in faults(data, caught.value)]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"seed": "x"}, "seed: got 'x', wanted a valid integer"),
        ({"seed": 3.5}, "seed: got 3.5, wanted a valid integer"),
        ({"seed": None}, "seed: got null, wanted a valid integer"),
        ({"sed": 3}, "sed: unknown key; did you mean 'seed'?"),
        ({"stages": 3}, "stages: got 3, wanted a mapping"),
        ({"stages": {"base": 3}}, "stages.base: got 3, wanted a mapping"),
        ({"stages": {"base": {}}}, "stages.base.rows: missing, and there is no default"),
        ({"stages": {"base": {"row": 1}}}, "stages.base.row: unknown key; did you mean 'rows'?"),
        ({"stages": {"base": {"rows": 101}}}, "stages.base: rows=101: want at most 100"),
        ({"filters": 3}, "filters: got 3, wanted a list"),
        ({"filters": ["x"]}, "filters.0: got 'x', wanted a mapping with 'use: NAME' (one of: either, grown, min_words)"),
        ({"filters": [{"use": "min"}]}, "filters.0.use: no 'min' behind toy_shop.filters; known: either, grown, min_words"),
        ({"filters": [{"use": "min_words", "limt": 3}]}, "filters.0.limt: unknown key; did you mean 'limit'?"),
        ({"filters": [{"use": "min_words", "limit": 0}]}, "filters.0.limit: got 0, wanted a number greater than 0"),
        ({"data": 3}, "data: want a stage's name, name@version or a path, got 3"),
        ({"length": "3"}, "length: want an amount with a unit, like '2M tokens', '400 steps', '3 epochs' or '3h'; got '3'"),
        ({"dtype": "bf61"}, "dtype: got 'bf61', wanted 'bf16' or 'fp32'; did you mean 'bf16'?"),
        ({"dtype": "int8"}, "dtype: got 'int8', wanted 'bf16' or 'fp32'"),
        ({"dtype": 16}, "dtype: got 16, wanted 'bf16' or 'fp32'"),
        ({"weights": {"a": 1}}, "weights.a: got 'a', wanted a valid integer"),
        ({"weights": {"1": "x"}}, "weights.1: got 'x', wanted a valid integer"),
        ({"pair": [1]}, "pair.1: missing, and there is no default"),
        ({"pair": [1, 2, 3]}, "pair: got [1, 2, 3], wanted at most 2 items"),
        ({"some": []}, "some: got [], wanted at least 1 item"),
        ({"share": 9}, "share: got 9, wanted a number less than or equal to 5"),
        ({"name": "X"}, "name: got 'X', wanted something else: string should match pattern '^[a-z]+$'"),
    ],
)
def test_a_fault_says_where_what_was_got_and_what_was_wanted(data: dict[str, Any], says: str) -> None:
    assert told(data) == [says]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"either": [1]}, ["either: got [1], wanted a valid integer or a valid string"]),
        ({"one_or_many": "x"}, ["one_or_many: got 'x', wanted a list or a valid integer"]),
        ({"one_or_many": [1, "x"]}, ["one_or_many.1: got 'x', wanted a valid integer"]),
        ({"tasks": [{"use": "min_words", "limt": 3}]}, ["tasks.0.limt: unknown key; did you mean 'limit'?"]),
        ({"tasks": [{"use": "small"}]}, ["tasks.0.size: missing, and there is no default"]),
        ({"tasks": [{"use": "smal"}]}, ["tasks.0.use: no 'smal' behind toy_shop.suites; did you mean 'small'?"]),
        (
            {"tasks": [{"use": "zebra"}]},
            [
                "tasks.0.use: no 'zebra' behind toy_shop.filters; known: either, grown, min_words",
                "tasks.0.use: no 'zebra' behind toy_shop.suites; known: small",
            ],
        ),
        (
            {"tasks": ["small"]},
            [
                "tasks.0: got 'small', wanted a mapping with 'use: NAME' (one of: either, grown, min_words) "
                "or a mapping with 'use: NAME' (one of: small)"
            ],
        ),
        ({"start": {"use": "min_wrods"}}, ["start.use: no 'min_wrods' behind toy_shop.filters; did you mean 'min_words'?"]),
        ({"start": {"use": "min_words", "limit": "x"}}, ["start.limit: got 'x', wanted a valid integer"]),
        (
            {"tasks": [{"use": "either", "of": [{"use": "min_wrods"}]}]},
            ["tasks.0.of.0.use: no 'min_wrods' behind toy_shop.filters; did you mean 'min_words'?"],
        ),
    ],
)
def test_of_several_alternatives_the_one_that_got_furthest_speaks(data: dict[str, Any], says: list[str]) -> None:
    assert told(data) == says


def test_every_fault_is_told_in_the_order_of_the_data() -> None:
    assert told({"seed": "x", "stages": {"a": {}, "b": {"rows": "y"}}, "share": 0}) == [
        "seed: got 'x', wanted a valid integer",
        "stages.a.rows: missing, and there is no default",
        "stages.b.rows: got 'y', wanted a valid integer",
        "share: got 0, wanted a number greater than 0",
    ]


def test_a_fault_of_the_whole_is_told_of_the_recipe() -> None:
    with pytest.raises(ValidationError) as caught:
        Inner.model_validate({"rows": 101})
    assert [dotted(fault.place) for fault in faults({"rows": 101}, caught.value)] == ["the recipe"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("it's", '"it\'s"'),
        (True, "true"),
        (None, "null"),
        ({"a": [1]}, '{"a": [1]}'),
        (len, '"<built-in function len>"'),
        ("x" * 80, f"'{'x' * 56}..."),
    ],
)
def test_a_value_is_quoted_in_at_most_sixty_characters(value: object, text: str) -> None:
    assert shown(value) == text
    assert len(text) <= 60
