import json
import re
from calendar import monthrange
from contextlib import suppress
from itertools import product

import llguidance
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_specifications import REGISTRY

from whorl.core.errors import UsageError
from whorl.infer.bounds import Bounds
from whorl.infer.guide import Guides
from whorl.infer.schema import ANNOTATIONS, EXACT_FORMATS, SUPPORTED, UNSUPPORTED, checked
from whorl.infer.structure import Structure

GUIDES = Guides([*[bytes([byte]) for byte in range(256)], b""], stop_ids=[256])


@pytest.mark.parametrize("word", sorted(UNSUPPORTED))
def test_a_keyword_that_cannot_be_enforced_is_refused_by_name_and_place(word):
    schema = {"type": "object", "properties": {"a/b": {"anyOf": [{}, {word: {}}]}}}
    with pytest.raises(UsageError, match=f"#/properties/a~1b/anyOf/1: '{re.escape(word)}' cannot be enforced .*; .+"):
        checked(schema)


def test_what_is_refused_is_what_the_compiler_cannot_do_and_what_it_would_pass_over():
    compiler = llguidance.LLTokenizer("byte")

    def refuses(word):
        grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps({word: {}}))
        return "Unimplemented keys" in llguidance.LLMatcher(compiler, grammar, log_level=0).get_error()

    assert {word for word in UNSUPPORTED if not refuses(word)} == {"contentSchema", "$vocabulary", "nullable", "x-guidance"}
    assert not any(refuses(word) for word in (*SUPPORTED, *ANNOTATIONS))


@pytest.mark.parametrize("draft", ["draft-04", "draft-07", "draft/2019-09", "draft/2020-12"])
def test_every_word_of_every_draft_is_known(draft):
    found: set[str] = set()
    for uri in REGISTRY:
        if f"/{draft}/" in uri:
            found |= set(REGISTRY[uri].contents.get("properties", {}))
    assert len(found) > 25
    assert found <= {*SUPPORTED, *ANNOTATIONS, *UNSUPPORTED}


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
        ({"$ref": 1}, r"\$ref='1'; want a text"),
        ({"enum": "a"}, "enum='a'; want a list"),
        ({"minimum": 2**53 + 1}, "minimum=9007199254740993 cannot be kept exactly"),
        ({"enum": [1, 2**63]}, "9223372036854775808 does not fit 64 bits"),
        ({"const": float("inf")}, "json schema: .*want what JSON can hold"),
        ({"const": {1, 2}}, "want what JSON can hold"),
        ({"exclusiveMinimum": float("nan")}, "exclusiveMinimum='nan'; want a finite number"),
        ({"minimum": True}, "minimum='True'; want a finite number"),
        ({"maximum": 10**400}, "want a finite number|cannot be kept exactly"),
        ({"minLength": 1.5}, "minLength='1.5'; want a count"),
        ({"maxItems": -1}, "maxItems='-1'; want a count"),
        ({"type": []}, "want the name of a type"),
        ({"required": [1]}, "want a list of texts"),
        ({"minProperties": 3, "required": ["a"]}, "minProperties=3 cannot be enforced with 1 required.*want at most 2"),
        ({"patternProperties": {"^x": False}}, "forbids keys like '.x'"),
    ],
)
def test_what_is_malformed_or_cannot_be_kept_is_refused(schema, said):
    with pytest.raises(UsageError, match=said):
        checked(schema)


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["object", "string", "^a", "#"]),
    lambda of: st.lists(of, max_size=2) | st.dictionaries(st.sampled_from([*SUPPORTED, "$defs", "a"]), of, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*SUPPORTED, "$defs"]), junk, max_size=4))
def test_whatever_is_no_schema_is_refused_and_nothing_else_is_raised(schema):
    for bounds in (None, Bounds()):
        with suppress(UsageError):
            GUIDES.guide(Structure.schema(schema, bounds=bounds))


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
    years = (1, 4, 100, 400, 1900, 1999, 2000, 2023, 2024, 9999)
    for year, month, day in product(years, range(1, 13), (1, 28, 29)):
        exists = day <= monthrange(year, month)[1]
        assert bool(pattern.search(f"{year:04}-{month:02}-{day:02}")) == exists, (year, month, day)
    assert not pattern.search("0000-01-01")
    assert not pattern.search("0000-02-29")


def test_a_whole_number_that_is_excluded_is_kept_out_by_a_bound_beside_it():
    assert checked({"exclusiveMinimum": 3}) == {"exclusiveMinimum": 3, "minimum": 3 + 1e-9}
    assert checked({"exclusiveMinimum": 3, "minimum": 4}) == {"exclusiveMinimum": 3, "minimum": 4}
    assert checked({"exclusiveMaximum": 0, "minimum": -0.5}) == {"exclusiveMaximum": 0, "minimum": -0.5, "maximum": -1e-9}
    assert checked({"exclusiveMinimum": 2**40}) == {"exclusiveMinimum": 2**40, "minimum": 2**40 + 2**-12}
    for untouched in ({"exclusiveMinimum": -3}, {"exclusiveMaximum": 3}, {"exclusiveMinimum": 0.5}):
        assert checked(untouched) == untouched


def test_a_format_is_made_exact_beside_a_pattern_of_its_own_and_only_once():
    once = checked({"format": "date", "pattern": "^2"})
    assert once == {"format": "date", "pattern": "^2", "allOf": [{"pattern": EXACT_FORMATS["date"]}]}
    assert checked(once) == once
    assert checked(checked({"format": "time"})) == {"format": "time", "pattern": EXACT_FORMATS["time"]}
