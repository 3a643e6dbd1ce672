"""That bounded answers are valid by the schema they were bounded from: tests/infer/test_guide."""

import json

import pytest

from whorl.core.errors import UsageError
from whorl.infer.bounded import added, bounded
from whorl.infer.bounds import Bounds

SMALL = Bounds(max_length=6, max_items=3, max_properties=2, max_digits=2, max_depth=2)


def test_what_is_bounded_already_stays_as_it_is():
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string", "maxLength": 3}, "b": {"enum": ["x" * 99]}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert bounded(schema, SMALL) == schema


def test_an_object_that_names_properties_gets_no_others():
    found = bounded({"type": "object", "properties": {"a": {"type": "null"}}}, SMALL)
    assert found == {"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": False}


def test_a_property_that_is_required_and_not_described_is_described():
    found = bounded({"type": "object", "required": ["a"], "additionalProperties": {"type": "null"}}, SMALL)
    assert found["properties"] == {"a": {"type": "null"}}
    assert found["additionalProperties"] is False


def test_an_object_that_names_none_gets_a_few_with_short_keys():
    found = bounded({"type": "object", "additionalProperties": {"type": "null"}}, SMALL)
    assert found["patternProperties"] == {"^.{0,6}$": {"type": "null"}}
    assert found["maxProperties"] == 2
    assert found["additionalProperties"] is False


def test_anything_is_bounded_at_every_depth():
    found = bounded({}, SMALL)
    assert found["maxLength"] == 6
    assert found["multipleOf"] == 0.01
    definitions = found["$defs"]
    assert len(definitions) == SMALL.max_depth + 1
    last = definitions[str(SMALL.max_depth)]
    assert "array" not in last["type"]
    assert "object" not in last["type"]


def test_a_definition_opens_inside_itself_only_so_often():
    schema = {"$defs": {"n": {"type": "array", "items": {"$ref": "#/$defs/n"}}}, "$ref": "#/$defs/n"}
    found = bounded(schema, SMALL)
    assert found["$ref"] == "#/$defs/0"
    chain = found["$defs"]
    assert [chain[str(n)]["items"] for n in range(2)] == [{"$ref": "#/$defs/1"}, False]
    assert "#/$defs/n" not in json.dumps(found)


def test_definitions_are_found_by_pointer_and_by_anchor():
    schema = {
        "definitions": {"a b~/": {"type": "string"}, "c": {"$anchor": "c", "type": "integer"}},
        "anyOf": [{"$ref": "#/definitions/a%20b~0~1"}, {"$ref": "#c"}],
    }
    found = bounded(schema, SMALL)
    assert [found["$defs"][one["$ref"][-1]] for one in found["anyOf"]] == [
        {"type": "string", "maxLength": 6},
        {"type": "integer", "minimum": -99, "maximum": 99},
    ]


def test_alternatives_that_only_require_leave_the_properties_to_their_parent():
    schema = {"type": "object", "properties": {"a": {"type": "null"}}, "anyOf": [{"required": ["a"]}, {"minProperties": 1}]}
    found = bounded(schema, SMALL)
    assert found["additionalProperties"] is False
    assert all("additionalProperties" not in one and "patternProperties" not in one for one in found["anyOf"])


def test_each_alternative_limits_its_own_keys():
    found = bounded({"anyOf": [{"type": "object", "properties": {"a": {"type": "null"}}}, {"type": "string"}]}, SMALL)
    assert found["anyOf"][0]["additionalProperties"] is False
    assert found["anyOf"][1] == {"type": "string", "maxLength": 6}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}, "#: several places"),
        ({"properties": {"a": {}}, "$ref": "#/$defs/x", "$defs": {"x": {"properties": {"b": {}}}}}, "#: several places"),
        ({"items": {"patternProperties": {"^a": {}}}}, "#/items: keys like '.a' may be of any length"),
        ({"properties": {"a": {}}, "patternProperties": {"^a$": {}}}, "cannot be counted together"),
        ({"$ref": "other.json"}, "points to nothing"),
        ({"items": {"$ref": "#/$defs/no"}}, "#/items.*points to nothing"),
    ],
)
def test_what_cannot_be_bounded_is_refused_by_place(schema, said):
    with pytest.raises(UsageError, match=said):
        bounded(schema, SMALL)


def test_true_and_false_are_schemas():
    assert bounded(False, SMALL) is False
    assert bounded(True, SMALL) == bounded({}, SMALL)


def test_every_limit_that_is_added_is_told_once_where_the_schema_lacks_it():
    row = {"type": "object", "properties": {"n": {"type": "integer"}, "s": {"type": "string", "maxLength": 4}}}
    schema = {"type": "array", "items": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/row"}]}, "$defs": {"row": row}}
    assert [tuple(one) for one in added(schema, SMALL)] == [
        ("maxLength: 6", "#/items/anyOf/0"),
        ("minimum: -99", "#/$defs/row/properties/n"),
        ("maximum: 99", "#/$defs/row/properties/n"),
        ("additionalProperties: false", "#/$defs/row"),
        ("maxItems: 3", "#"),
    ]
    assert added({"type": "string", "maxLength": 4}, SMALL) == []
    assert [tuple(one) for one in added({"type": "string", "maxLength": 40}, SMALL)] == [("maxLength: 6", "#")]


def test_what_is_added_where_nothing_is_said_is_told_without_the_inside():
    found = added({"type": "object", "properties": {"a": {}, "more": {"$ref": "#"}}}, SMALL)
    assert {one.where for one in found} == {"#", "#/properties/a"}
    assert len(set(found)) == len(found)
    assert ("any values in it, bounded alike, at most 3 deep", "#/properties/a") in found
    assert ("at most 2 times inside itself", "#") in found
    assert ("keys of at most 6 characters", "#/properties/a") in found
