"""bench/structured_schemas: JSON schemas of every kind that can be enforced, all of them with an end, and some that cannot be.

Half of them take one keyword at a time through its cases; the others are what people ask models for. All are our own.
"""

from collections.abc import Mapping
from typing import Any

__all__ = ["FORMATS", "OPEN", "REFUSED", "SCHEMAS", "Schema"]

Schema = Mapping[str, Any]
FORMATS = {
    **{"date": 10, "time": 18, "date-time": 32, "duration": 16, "email": 24, "hostname": 20},
    **{"ipv4": 15, "ipv6": 39, "uuid": 36, "uri": 28},
}  # with the characters each gets
DRAFT_7 = "http://json-schema.org/draft-07/schema#"


def _text(most: int = 16, **more: Any) -> Schema:
    return {"type": "string", "maxLength": most, **more}


def _whole(low: int, high: int, **more: Any) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high, **more}


def _money(most: int = 9999) -> Schema:
    return {"type": "number", "minimum": 0, "maximum": most, "multipleOf": 0.01}


def _list(of: Schema, most: int = 4, **more: Any) -> Schema:
    return {"type": "array", "items": of, "maxItems": most, **more}


def _thing(properties: Mapping[str, Any], required: str = "", **more: Any) -> Schema:
    """A closed object; `required` are words, "*" all of them."""
    named = list(properties) if required == "*" else required.split()
    return {"type": "object", "properties": properties, "required": named, "additionalProperties": False, **more}


def _map(of: Schema, keys: str = "^[a-z]{1,8}$", most: int = 3, **more: Any) -> Schema:
    return {"type": "object", "patternProperties": {keys: of}, "additionalProperties": False, "maxProperties": most, **more}


_YES = {"type": "boolean"}
_NONE = {"type": "null"}

_STRINGS: dict[str, Schema] = {
    **{f"string of {low} to {high}": _text(high, minLength=low) for low, high in ((0, 0), (0, 1), (1, 1), (3, 5), (0, 40))},
    **{f"format {name}": _text(most, format=name) for name, most in FORMATS.items()},
    "format and pattern": {"type": "string", "format": "date", "pattern": "^20[0-9]{2}-0[1-6]"},
    "format of a closed list": {"type": "string", "format": "ipv4", "pattern": "^10\\.0\\."},
    **{
        f"pattern {pattern}": {"type": "string", "pattern": pattern}
        for pattern in (
            "^[A-Z]{3}-[0-9]{4}$",
            "^(red|green|blue)$",
            "^#[0-9a-f]{6}$",
            "^\\+?[0-9]{7,12}$",
            "^v?(\\d{1,2}\\.){2}\\d{1,2}$",
        )
    },
    "pattern that is searched for": _text(12, pattern="[0-9]{2}"),
    "pattern with words and blanks": _text(14, pattern="^\\w{1,5}\\s\\w{1,5}$"),
    "pattern past ascii": _text(8, pattern="^[\\u00e0-\\u00ff]{1,4}$"),
    "pattern in a length": {"type": "string", "pattern": "^(ab|c)*$", "minLength": 4, "maxLength": 9},
}
_NUMBERS: dict[str, Schema] = {
    **{f"integer {low} to {high}": _whole(low, high) for low, high in ((0, 0), (-5, 5), (1, 12), (-1000, -990), (17, 123456))},
    "integer between": {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10},
    "integer by seven": _whole(-100, 100, multipleOf=7),
    "integer by a thousand": _whole(0, 9000, multipleOf=1000),
    "number in steps": {"type": "number", "minimum": -1, "maximum": 1, "multipleOf": 0.05},
    "number between": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5, "multipleOf": 0.001},
    "number below": {"type": "number", "minimum": 0.25, "exclusiveMaximum": 2.5, "multipleOf": 0.25},
    "number by threes": {"type": "number", "minimum": 0, "maximum": 99, "multipleOf": 1.5},
    "number with a sign": {"type": "number", "minimum": -999, "exclusiveMaximum": 0, "multipleOf": 0.1},
    "money": _money(),
}
_VALUES: tuple[Any, ...] = ("yes", 0, -1.5, True, None, '\u00e9\n"\\', [1, "a"], {"a": {}})
_CONSTANTS: dict[str, Schema] = {
    **{f"const {place}": {"const": value} for place, value in enumerate(_VALUES)},
    "enum of texts": {"enum": ["north", "east", "south", "west"]},
    "enum of all kinds": {"enum": ["a", 1, 2.5, None, False, [1], {"k": "v"}]},
    "enum of a type": {"type": "string", "enum": ["a", "b", 3]},
    "enum in a range": {"enum": [1, 5, 50], "maximum": 10},
    "boolean": _YES,
    "null": _NONE,
    "types": {"type": ["integer", "null", "boolean"], "minimum": 0, "maximum": 9},
    "types with a text": {"type": ["string", "null"], "maxLength": 6, "minLength": 2},
}
_LISTS: dict[str, Schema] = {
    **{f"list of {low} to {high}": _list(_whole(0, 9), high, minItems=low) for low, high in ((0, 0), (0, 3), (2, 2), (3, 6))},
    "list of lists": _list(_list(_YES, 2), 3),
    "list of texts": _list(_text(8), 5, minItems=1),
    "list of constants": _list({"enum": ["x", "y"]}, 6),
    "tuple": {"type": "array", "prefixItems": [_text(5), _whole(0, 99)], "items": False},
    "tuple, all of it": {"type": "array", "prefixItems": [_YES, _NONE, _whole(1, 3)], "items": False, "minItems": 3},
    "tuple and more": {"type": "array", "prefixItems": [_text(5)], "items": _whole(0, 9), "maxItems": 4, "minItems": 2},
    "list without items": {"type": "array", "maxItems": 0},
    "tuple of draft 7": {"$schema": DRAFT_7, "type": "array", "items": [_YES, _text(4)], "additionalItems": False},
    "open tuple of draft 7": {
        **{"$schema": DRAFT_7, "type": "array", "items": [_YES], "additionalItems": _whole(0, 9)},
        **{"minItems": 1, "maxItems": 3},
    },
}
_OBJECTS: dict[str, Schema] = {
    "object, empty": _thing({}),
    "object, all required": _thing({"a": _whole(0, 9), "b": _text(6)}, "*"),
    "object, all optional": _thing({"a": _YES, "b": _NONE, "c": _whole(1, 2)}),
    "object, some required": _thing({"a": _YES, "b": _NONE, "c": _whole(1, 2)}, "b"),
    "object, keys past ascii": _thing({"\u00fcber": _YES, "a b": _NONE, 'q"\\': _YES}, "*"),
    "object, one at least": _thing({"a": _YES, "b": _YES, "c": _YES}, minProperties=1),
    "object, one at most": _thing({"a": _YES, "b": _YES}, maxProperties=1),
    "object, exactly one": _thing({"a": _YES, "b": _YES}, minProperties=1, maxProperties=1),
    "object, some required elsewhere": {
        **{"type": "object", "required": ["a", "b"], "additionalProperties": _whole(0, 99)},
        "maxProperties": 2,
    },
    "object, one property forbidden": _thing({"a": _YES, "b": False}, "a"),
    "map": _map(_whole(0, 9)),
    "map of one at least": _map(_text(4), minProperties=1),
    "map of exactly one": _map(_YES, most=1, minProperties=1),
    "map beside a property": {**_map(_whole(0, 9), "^x[0-9]{1,2}$", 3), "properties": {"id": _whole(1, 9)}, "required": ["id"]},
    "map of two kinds": {
        **{"type": "object", "patternProperties": {"^n[a-z]{1,3}$": _whole(0, 9), "^s[a-z]{1,3}$": _text(4)}},
        **{"additionalProperties": False, "maxProperties": 3},
    },
    "map of maps": _map(_map(_YES, most=2), most=2),
    "objects in objects": _thing({"a": _thing({"b": _thing({"c": _whole(0, 9)}, "*")}, "*")}, "*"),
}
_TREE = {
    **_thing({"v": _whole(0, 9), "left": {"$ref": "#/$defs/leaf"}, "right": {"$ref": "#/$defs/leaf"}}, "v"),
    "$defs": {"leaf": _thing({"v": _whole(0, 9)}, "*")},
}
_COMBINED: dict[str, Schema] = {
    "any of two types": {"anyOf": [_text(6), _whole(0, 99)]},
    "any of two objects": {
        "anyOf": [_thing({"k": {"const": 1}, "a": _YES}, "*"), _thing({"k": {"const": 2}, "b": _NONE}, "*")]
    },
    "any of, beside properties": {**_thing({"a": _YES, "b": _YES}), "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
    "any of, one cannot be": {"anyOf": [False, _whole(1, 3), {"type": "string", "minLength": 3, "maxLength": 2}]},
    "one of two types": {"oneOf": [_whole(0, 9), _text(4)]},
    "one of two ranges": {"oneOf": [{"const": "a"}, {"const": "b"}, _NONE]},
    "one of two objects": {
        "oneOf": [_thing({"k": {"const": "a"}}, "*"), _thing({"k": {"const": "b"}, "n": _whole(0, 9)}, "k")]
    },
    "all of two ranges": {"type": "integer", "allOf": [{"minimum": 3}, {"maximum": 8}]},
    "all of two patterns": {"type": "string", "maxLength": 6, "allOf": [{"pattern": "^[a-f]+$"}, {"pattern": "[d-k]$"}]},
    "all of two objects": {
        "allOf": [{"type": "object", "properties": {"a": _YES}, "required": ["a"]}, {"properties": {"b": _whole(0, 9)}}],
        **{"properties": {"a": True, "b": True}, "additionalProperties": False},
    },
    "all of, with any of": {"allOf": [{"anyOf": [_text(9), _whole(0, 99)]}, {"minLength": 3, "minimum": 90}]},
    "reference": {"$ref": "#/$defs/day", "$defs": {"day": {"enum": ["mon", "tue"]}}},
    "reference with siblings": {"$ref": "#/$defs/n", "maximum": 5, "$defs": {"n": {"type": "integer", "minimum": 1}}},
    "reference to an anchor": {
        "items": {"$ref": "#it"},
        "type": "array",
        "maxItems": 2,
        "$defs": {"x": {"$anchor": "it", **_YES}},
    },
    "reference to a property": _thing({"a": _whole(0, 9), "b": {"$ref": "#/properties/a"}}, "*"),
    "references in older words": {
        "$schema": DRAFT_7,
        "definitions": {"t": _text(5)},
        "type": "array",
        "items": {"$ref": "#/definitions/t"},
        "maxItems": 3,
    },
    "tree": _TREE,
    "list inside itself": {
        "$ref": "#/$defs/l",
        "$defs": {"l": {"type": "array", "maxItems": 1, "items": {"$ref": "#/$defs/l"}}},
    },
    "notes of every kind": {
        **{"$id": "https://example.org/s", "$comment": "c", "title": "t", "description": "d", "default": 1, "examples": [2]},
        **{"readOnly": True, "writeOnly": False, "deprecated": True, **_whole(0, 9)},
    },
    "contents": _text(12, contentMediaType="text/plain", contentEncoding="base64", pattern="^[A-Za-z0-9+]{4,8}$"),
}
_PERSON = _thing({"name": _text(20, minLength=1), "email": _text(24, format="email"), "age": _whole(0, 120)}, "name")
_ADDRESS = _thing({"street": _text(20), "city": _text(16), "zip": {"type": "string", "pattern": "^[0-9]{5}$"}}, "city zip")
_ASKED: dict[str, Schema] = {
    "sentiment": _thing({"label": {"enum": ["positive", "negative", "neutral"]}, "score": _whole(0, 100)}, "*"),
    "person": _PERSON,
    "people": _list(_PERSON, 3, minItems=1),
    "invoice": _thing(
        {
            "number": {"type": "string", "pattern": "^INV-[0-9]{6}$"},
            "issued": {"type": "string", "format": "date"},
            "lines": _list(_thing({"what": _text(16), "count": _whole(1, 99), "price": _money()}, "*"), 3, minItems=1),
            "paid": _YES,
        },
        "number issued lines",
    ),
    "weather call": _thing(
        {"place": _text(16, minLength=1), "unit": {"enum": ["celsius", "fahrenheit"]}, "days": _whole(1, 7)}, "place unit"
    ),
    "one of two calls": {
        "anyOf": [
            _thing(
                {"name": {"const": "search"}, "arguments": _thing({"query": _text(20), "limit": _whole(1, 50)}, "query")}, "*"
            ),
            _thing(
                {"name": {"const": "send"}, "arguments": _thing({"to": _text(24, format="email"), "body": _text(30)}, "*")}, "*"
            ),
        ]
    },
    "grade": _thing({"steps": _list(_text(20), 3), "verdict": _YES, "grade": {"enum": list("ABCDF")}}, "*"),
    "extraction": _thing(
        {"people": _list(_text(12), 3), "places": _list(_text(12), 3), "dates": _list(_text(10, format="date"), 2)}, "*"
    ),
    "event": _thing(
        {"title": _text(20), "start": _text(30, format="date-time"), "minutes": _whole(15, 480, multipleOf=15)}, "title start"
    ),
    "server": _thing(
        {"host": _text(16, format="hostname"), "port": _whole(1, 65535), "tags": _map(_text(6), most=2)}, "host port"
    ),
    "point": _thing(
        {
            "lat": {"type": "number", "minimum": -90, "maximum": 90, "multipleOf": 0.0001},
            "lon": {"type": "number", "minimum": -180, "maximum": 180, "multipleOf": 0.0001},
        },
        "*",
    ),
    "shapes": _list(
        {
            "oneOf": [
                _thing({"kind": {"const": "circle"}, "r": _money(99)}, "*"),
                _thing({"kind": {"const": "box"}, "w": _money(99), "h": _money(99)}, "*"),
            ]
        },
        3,
        minItems=1,
    ),
    "customer": {
        **_thing(
            {"who": {"$ref": "#/$defs/person"}, "home": {"$ref": "#/$defs/place"}, "work": {"$ref": "#/$defs/place"}},
            "who home",
        ),
        "$defs": {"person": _PERSON, "place": _ADDRESS},
    },
    "settings": _thing(
        {
            "theme": {"enum": ["light", "dark"]},
            "zoom": {"type": "number", "minimum": 0.5, "maximum": 3, "multipleOf": 0.1},
            "flags": _map(_YES),
        }
    ),
    "quiz": _list(
        _thing({"question": _text(24, minLength=5), "choices": _list(_text(8), 4, minItems=4), "answer": _whole(0, 3)}, "*"),
        2,
        minItems=1,
    ),
    "table": _thing(
        {"columns": _list(_text(6), 3, minItems=1), "rows": _list(_list({"anyOf": [_text(6), _whole(0, 999), _NONE]}, 3), 3)},
        "*",
    ),
    "patch": _list(
        _thing(
            {
                "op": {"enum": ["add", "remove"]},
                "path": {"type": "string", "pattern": "^(/[a-z]{1,6}){1,3}$"},
                "value": {"type": ["string", "null"], "maxLength": 8},
            },
            "op path",
        ),
        3,
    ),
    "recipe": _thing(
        {
            "name": _text(20),
            "serves": _whole(1, 12),
            "parts": _map(_thing({"grams": _whole(1, 999)}, "*"), most=3, minProperties=1),
        },
        "*",
    ),
    "ticket": _thing(
        {"id": {"type": "string", "format": "uuid"}, "priority": _whole(1, 5), "assignee": {"anyOf": [_text(10), _NONE]}}, "*"
    ),
    "link": _thing(
        {
            "url": _text(28, format="uri"),
            "ip": {"anyOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}]},
        },
        "url",
    ),
    "colours": _list({"type": "string", "pattern": "^#[0-9a-fA-F]{6}$"}, 5, minItems=2),
    "translation": _thing(
        {"language": {"type": "string", "pattern": "^[a-z]{2}(-[A-Z]{2})?$"}, "text": _text(40, minLength=1)}, "*"
    ),
}

SCHEMAS: Mapping[str, Schema] = {**_STRINGS, **_NUMBERS, **_CONSTANTS, **_LISTS, **_OBJECTS, **_COMBINED, **_ASKED}

# Without an end of their own: asked for with bounds, and judged as they stand.
OPEN: Mapping[str, Schema] = {
    "open: anything": {},
    "open: text": {"type": "string"},
    "open: number": {"type": "number"},
    "open: list": {"type": "array"},
    "open: list of numbers": {"type": "array", "items": {"type": "number", "minimum": 0}},
    "open: object": {"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]},
    "open: map": {"type": "object", "additionalProperties": {"type": "integer"}},
    "open: address": {"type": "string", "format": "uri"},
    "open: tree": {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "of": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
                "required": ["name"],
            }
        },
    },
}

# What may not be started at all, and the word that the refusal must name.
REFUSED: Mapping[str, Schema] = {
    "uniqueItems": _list(_YES, 2, uniqueItems=True),
    "contains": _list(_YES, 2, contains={"const": True}),
    "minContains": _list(_YES, 2, minContains=1),
    "maxContains": _list(_YES, 2, maxContains=1),
    "not": {"not": _YES},
    "if": {"if": _YES, "type": "boolean"},
    "then": {"then": _YES, "type": "boolean"},
    "else": {"else": _YES, "type": "boolean"},
    "dependentRequired": _thing({"a": _YES, "b": _YES}, dependentRequired={"a": ["b"]}),
    "dependentSchemas": _thing({"a": _YES}, dependentSchemas={"a": {"minProperties": 1}}),
    "dependencies": _thing({"a": _YES}, dependencies={"a": ["a"]}),
    "propertyNames": _map(_YES, propertyNames={"maxLength": 2}),
    "unevaluatedItems": {"type": "array", "unevaluatedItems": False},
    "unevaluatedProperties": {"type": "object", "unevaluatedProperties": False},
    "contentSchema": _text(contentSchema=_YES),
    "$dynamicRef": {"$dynamicRef": "#a"},
    "$dynamicAnchor": {"$dynamicAnchor": "a"},
    "$recursiveRef": {"$recursiveRef": "#"},
    "nullable": _text(nullable=True),
    "x-guidance": {"x-guidance": {"lenient": True}, "uniqueItems": True},
    "maxLenght": {"type": "string", "maxLenght": 3},
    "minProperties": _map(_YES, minProperties=2),
    "oneOf": {"oneOf": [{"type": "number", "multipleOf": 0.5}, {"type": "integer"}]},
    "look-around": {"type": "string", "pattern": "^(?!a)"},
    "Unknown format": {"type": "string", "format": "color"},
    "Unsatisfiable": _whole(3, 2),
    "disjoint": {"type": "object", "patternProperties": {"^a": _YES, "^ab": _NONE}},
    "does not exist": {"$ref": "#/$defs/nowhere"},
}
