"""infer/schema: what a JSON schema may say when an answer is held to it while it is being written.

Refuses, by keyword and place, what cannot be enforced token by token, and words it does not know: a misspelt `maxLenght` would
otherwise bound nothing. Makes exact what the grammar's compiler takes loosely: days that do not exist, seconds past 59, some
numbers that are excluded. Whether the rest can be compiled and fulfilled, infer/guide finds out.
https://json-schema.org/draft/2020-12
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, cast

from whorl.core.errors import UsageError, suggestion

__all__ = ["ANNOTATIONS", "SUPPORTED", "UNSUPPORTED", "Node", "checked", "rewritten"]

Node = Mapping[str, Any] | bool

SUPPORTED = (
    *("anyOf", "oneOf", "allOf", "$ref", "const", "enum", "type"),
    *("items", "additionalItems", "prefixItems", "minItems", "maxItems"),
    *("properties", "additionalProperties", "patternProperties", "required", "minProperties", "maxProperties"),
    *("minLength", "maxLength", "pattern", "format"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
)
# Say nothing about what is valid, or only how to find a part.
ANNOTATIONS = (
    *("$anchor", "$defs", "definitions", "$schema", "$id", "id", "$comment", "title", "description", "default", "examples"),
    *("readOnly", "writeOnly", "deprecated", "contentMediaType", "contentEncoding", "discriminator", "example"),
)
UNSUPPORTED: Mapping[str, str] = {
    "uniqueItems": "leave it out and check the answer, or list the choices one by one as properties",
    "contains": "describe the items one by one with 'prefixItems'",
    "minContains": "describe the items one by one with 'prefixItems'",
    "maxContains": "describe the items one by one with 'prefixItems'",
    "not": "list what is allowed with 'enum' or 'anyOf'",
    "if": "write the cases as 'anyOf', each with its condition as a 'const'",
    "then": "write the cases as 'anyOf', each with its condition as a 'const'",
    "else": "write the cases as 'anyOf', each with its condition as a 'const'",
    "dependentRequired": "write the cases as 'anyOf', each with its own 'required'",
    "dependentSchemas": "write the cases as 'anyOf'",
    "dependencies": "write the cases as 'anyOf'",
    "propertyNames": "name the keys as 'patternProperties' and set 'additionalProperties' to false",
    "unevaluatedItems": "write 'items': false beside the 'prefixItems'",
    "unevaluatedProperties": "list all properties in one place and set 'additionalProperties' to false",
    "contentSchema": "leave it out: what a string spells is not enforced",
    "$dynamicRef": "use '$ref'",
    "$dynamicAnchor": "use '$anchor'",
    "$recursiveRef": "use '$ref'",
    "$recursiveAnchor": "use '$anchor'",
    "$vocabulary": "leave it out: it belongs to meta-schemas",
    "nullable": "write null as one of the types: 'type': ['string', 'null']",
    "x-guidance": "give whitespace and bounds as options of the structure, not in the schema",
}
ONE = ("items", "additionalItems", "additionalProperties")
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
MAPS = ("properties", "patternProperties", "$defs", "definitions")

MAX_DEPTH = 64  # schemas inside schemas
EXACT_FLOAT = 2**53  # bounds of numbers are compiled as floats
WIDEST_INT = 2**63  # constants are compiled as 64-bit integers
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
NEAREST = 1e-9  # numbers nearer to an excluded whole number are excluded too

_YEAR = "(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DATE = f"(?:{_YEAR}-(?:0[13-9]|1[0-2])-[0-9]{{2}}|{_YEAR}-02-(?:[01][0-9]|2[0-8])|{_LEAP_YEAR}-02-29)"
_TIME = "[0-9]{2}:[0-9]{2}:[0-5][0-9].*"
# Beside the compiler's own formats, which take 29 February for a day of every year, 0000 for a year and 60 for a second.
EXACT_FORMATS = {"date": f"^{_DATE}$", "time": f"^{_TIME}$", "date-time": f"^{_DATE}[Tt]{_TIME}$"}


def checked(schema: Node) -> Node:
    """The schema, made exact. Raises UsageError naming the keyword and the place of what cannot be enforced."""
    drafts_lists = isinstance(schema, Mapping) and "2020-12" not in str(schema.get("$schema", "2020-12"))

    def check(node: dict[str, Any], where: str) -> Node:
        _check_words(node, where)
        _check_kinds(node, where)
        _check_numbers(node, where)
        if isinstance(node.get("items"), list) and not drafts_lists:
            raise UsageError(f"json schema: {where}: 'items' is a list, which draft 2020-12 calls 'prefixItems'; rename it")
        _check_keys(node, where)
        return _exact(node)

    exact = rewritten(schema, check)
    try:
        json.dumps(exact, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"json schema: {error}; want what JSON can hold") from error
    return exact


def rewritten(node: Any, change: Callable[[dict[str, Any], str], Node], *, where: str = "#") -> Node:  # noqa: ANN401
    """A copy of a schema with every object in it changed, innermost first. `change` gets a node of its own and its pointer.

    Raises UsageError where a schema should stand and something else does, or where schemas nest too deep.
    """
    if isinstance(node, bool):
        return node
    if not isinstance(node, Mapping):
        raise UsageError(f"json schema: {where}: got {str(node)[:80]!r}; want a schema: an object, true or false")
    if where.count("/") > 2 * MAX_DEPTH:
        raise UsageError(f"json schema: {where[:80]}...: schemas nest deeper than {MAX_DEPTH}; move inner ones to '$defs'")
    return change({str(key): _inner(str(key), value, change, where=where) for key, value in node.items()}, where)


def _inner(key: str, value: Any, change: Callable[[dict[str, Any], str], Node], *, where: str) -> Any:  # noqa: ANN401
    place = f"{where}/{_escaped(key)}"
    if key in LISTS and isinstance(value, list):
        return [rewritten(one, change, where=f"{place}/{number}") for number, one in enumerate(value)]
    if key in LISTS and key != "items":
        raise UsageError(f"json schema: {place}: got {str(value)[:80]!r}; want a list of schemas")
    if key in MAPS:
        if not isinstance(value, Mapping):
            raise UsageError(f"json schema: {place}: got {str(value)[:80]!r}; want an object of schemas")
        return {name: rewritten(one, change, where=f"{place}/{_escaped(str(name))}") for name, one in value.items()}
    return rewritten(value, change, where=place) if key in ONE else value


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _check_words(node: Mapping[str, Any], where: str) -> None:
    for word in node:
        if word in UNSUPPORTED:
            raise UsageError(
                f"json schema: {where}: '{word}' cannot be enforced while an answer is written; {UNSUPPORTED[word]}"
            )
        if word not in SUPPORTED and word not in ANNOTATIONS and not word.startswith("x-"):
            near = suggestion(word, SUPPORTED) if "did you mean" in suggestion(word, SUPPORTED) else ""
            raise UsageError(f"json schema: {where}: '{word}' is no keyword{near or '; leave it out, or call it x-' + word}")


def _check_kinds(node: Mapping[str, Any], where: str) -> None:
    for words, is_right, wanted in _KINDS:
        for word in words:
            if word in node and not is_right(node[word]):
                raise UsageError(f"json schema: {where}: {word}={str(node[word])[:80]!r}; want {wanted}")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _is_count(value: object) -> bool:
    return _is_number(value) and cast("float", value) >= 0 and cast("float", value) % 1 == 0


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _names_types(value: object) -> bool:
    return isinstance(value, str) or (_are_texts(value) and value != [])


_COUNTED = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_KINDS: tuple[tuple[tuple[str, ...], Callable[[object], bool], str], ...] = (
    (("$ref", "$anchor", "pattern", "format"), _is_text, "a text"),
    (_NUMBERS, _is_number, "a finite number"),
    (_COUNTED, _is_count, "a count"),
    (("enum",), _is_list, "a list"),
    (("required",), _are_texts, "a list of texts"),
    (("type",), _names_types, "the name of a type, or a list of them"),
)


def _check_numbers(node: Mapping[str, Any], where: str) -> None:
    for word in _NUMBERS:
        if abs(node.get(word, 0)) > EXACT_FLOAT:
            raise UsageError(
                f"json schema: {where}: {word}={str(node[word])[:40]} cannot be kept exactly; want at most {EXACT_FLOAT}"
            )
    for value in (node.get("const"), *node.get("enum", [])):
        if isinstance(value, int) and not -WIDEST_INT <= value < WIDEST_INT:
            raise UsageError(f"json schema: {where}: the constant {str(value)[:40]} does not fit 64 bits; write it as a string")


def _check_keys(node: Mapping[str, Any], where: str) -> None:
    """Keys of an open object may come twice, so no grammar can count more than one beyond those that are required.

    And a key that no longer may be any that is allowed would be found out at its end only, which it need never come to.
    """
    wanted = node.get("minProperties", 0)
    required = node.get("required", [])
    if wanted > len(required) + 1:
        raise UsageError(
            f"json schema: {where}: minProperties={wanted} cannot be enforced with {len(required)} required properties: other "
            f"keys could repeat; want at most {len(required) + 1}, or name more in 'required'"
        )
    patterns = [pattern for pattern, one in node.get("patternProperties", {}).items() if one is False]
    if patterns and node.get("additionalProperties") is not False:
        raise UsageError(
            f"json schema: {where}: 'patternProperties' forbids keys like {patterns[0]!r}, which is found out only "
            "where a key ends; name the keys that are allowed and set 'additionalProperties' to false"
        )


def _exact(node: dict[str, Any]) -> Node:
    node = {**node, **_excluded(node)} if "exclusiveMinimum" in node or "exclusiveMaximum" in node else node
    pattern = EXACT_FORMATS.get(node.get("format", ""))
    if pattern is None or node.get("pattern") == pattern or {"pattern": pattern} in node.get("allOf", []):
        return node
    if "pattern" not in node:
        return {**node, "pattern": pattern}
    return {**node, "allOf": [*node.get("allOf", []), {"pattern": pattern}]}


def _excluded(node: Mapping[str, Any]) -> dict[str, Any]:
    """Bounds beside those of whole numbers that are excluded: a little away from them.

    The compiler lets an excluded 3 pass where the other bound lies within 3 and 4 (llguidance 1.9.1), be it told elsewhere.
    """
    bounds: dict[str, Any] = {}
    low, high = _whole(node.get("exclusiveMinimum")), _whole(node.get("exclusiveMaximum"))
    if low is not None and low >= 0:
        bounds["minimum"] = max(node.get("minimum", low), low + max(NEAREST, math.ulp(low)))
    if high is not None and high <= 0:
        bounds["maximum"] = min(node.get("maximum", high), high - max(NEAREST, math.ulp(high)))
    return bounds


def _whole(value: float | None) -> float | None:
    """A number without a fraction; None for what is none."""
    return float(value) if value is not None and float(value).is_integer() else None
