import re
from datetime import date

import pytest

from whorl.core.errors import UsageError
from whorl.infer.schema import ANNOTATIONS, EXACT_FORMATS, SUPPORTED, UNSUPPORTED, checked


@pytest.mark.parametrize("word", sorted(UNSUPPORTED))
def test_a_keyword_that_cannot_be_enforced_is_refused_by_name_and_place(word):
    schema = {"type": "object", "properties": {"a/b": {"anyOf": [{}, {word: {}}]}}}
    with pytest.raises(UsageError, match=f"#/properties/a~1b/anyOf/1: '{re.escape(word)}' cannot be enforced .*; .+"):
        checked(schema)


def test_no_keyword_is_in_two_lists():
    words = [*SUPPORTED, *ANNOTATIONS, *UNSUPPORTED]
    assert len(words) == len(set(words))


def test_a_misspelt_keyword_is_refused_and_the_right_one_named():
    with pytest.raises(UsageError, match="'maxLenght' is no keyword; did you mean 'maxLength'"):
        checked({"type": "string", "maxLenght": 3})
    with pytest.raises(UsageError, match="call it x-zebra"):
        checked({"zebra": 3})
    assert checked({"x-zebra": 3, "title": "t"}) == {"x-zebra": 3, "title": "t"}


def test_names_of_properties_and_constants_are_no_keywords():
    schema = {"properties": {"uniqueItems": {"const": {"not": 1}}, "if": True}, "default": {"contains": 1}}
    assert checked(schema) == schema


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"items": [{}]}, "'items' is a list"),
        ({"properties": []}, "#/properties: got .*want an object of schemas"),
        ({"anyOf": {}}, "#/anyOf: got .*want a list"),
        ({"items": 3}, "#/items: got '3'; want a schema"),
        ("text", "#: got 'text'; want a schema"),
        ({"$ref": 1}, r"\$ref=1; want a text"),
        ({"enum": "a"}, "enum='a'; want a list"),
        ({"minimum": 2**53 + 1}, "minimum=9007199254740993 cannot be kept exactly"),
        ({"enum": [1, 2**63]}, "9223372036854775808 does not fit 64 bits"),
        ({"const": float("inf")}, "json schema: .*want what JSON can hold"),
        ({"const": {1, 2}}, "want what JSON can hold"),
        ({"minProperties": 3, "required": ["a"]}, "minProperties=3 cannot be enforced with 1 required.*want at most 2"),
        ({"patternProperties": {"^x": False}}, "forbids keys like '.x'"),
    ],
)
def test_what_is_malformed_or_cannot_be_kept_is_refused(schema, said):
    with pytest.raises(UsageError, match=said):
        checked(schema)


def test_schemas_that_nest_without_end_are_refused():
    deep: dict = {}
    deep["items"] = deep
    with pytest.raises(UsageError, match="nest deeper than 64"):
        checked(deep)


def test_older_drafts_keep_their_tuples():
    old = {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{}], "additionalItems": False}
    assert checked(old) == old


def test_the_pattern_of_dates_holds_for_exactly_the_days_there_are():
    pattern = re.compile(EXACT_FORMATS["date"])
    for year in (1, 4, 100, 400, 1900, 1999, 2000, 2023, 2024, 9999):
        for month in range(1, 13):
            for day in (1, 28, 29):
                try:
                    date(year, month, day)
                    exists = True
                except ValueError:
                    exists = False
                assert bool(pattern.search(f"{year:04}-{month:02}-{day:02}")) == exists, (year, month, day)
    assert not pattern.search("0000-01-01")
    assert not pattern.search("0000-02-29")


def test_a_format_is_made_exact_beside_a_pattern_of_its_own_and_only_once():
    once = checked({"format": "date", "pattern": "^2"})
    assert once == {"format": "date", "pattern": "^2", "allOf": [{"pattern": EXACT_FORMATS["date"]}]}
    assert checked(once) == once
    assert checked(checked({"format": "time"})) == {"format": "time", "pattern": EXACT_FORMATS["time"]}
