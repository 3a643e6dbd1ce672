"""infer/bounded: make a JSON schema stricter until every answer that keeps to it ends.

A schema that leaves a string, a list, a number's digits or an object's keys open lets a model write for ever, and an answer
that is cut off is not valid. This is a caller's choice (`--schema` makes it): the bounded schema accepts less than the one it
was made from, and nothing else. Does not bound whitespace; infer/structure does.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import unquote

from whorl.core.errors import UsageError
from whorl.infer.bounds import Bounds, has_end
from whorl.infer.schema import Node, rewritten

__all__ = ["Added", "added", "bounded"]

SCALARS = ("null", "boolean", "integer", "number", "string")
TYPES = (*SCALARS, "array", "object")
TELL_KEYS = ("properties", "patternProperties", "additionalProperties")
IN_PLACE = ("$ref", "allOf", "anyOf", "oneOf")  # words that say more about the same value
DROPPED = ("$defs", "definitions", "$anchor", "$id", "id")  # definitions are written anew, under other names
HERE, NOWHERE = "", "none"
LIMITS = ("maxLength", "maxItems", "minimum", "maximum", "multipleOf", "maxProperties", "additionalProperties")


class Added(NamedTuple):
    """A limit that a schema did not have."""

    limit: str  # as a schema says it, "maxLength: 64", or in words where no single word says it
    where: str  # in the schema that was given


def bounded(schema: Node, bounds: Bounds) -> Node:
    """The schema with every open end closed.

    Raises UsageError where that cannot be done: an object described in several places at once, keys named by a pattern without
    an end, a `$ref` that leaves the schema.
    """
    return _Bounding(schema, bounds).whole()


def added(schema: Node, bounds: Bounds) -> list[Added]:
    """Which limits `bounded` adds, each once, in the order of the schema. Raises as `bounded` does."""
    bounding = _Bounding(schema, bounds)
    bounding.whole()
    return list(bounding.added)


@dataclass(frozen=True)
class _At:
    """Where in the schema a node stands, and what was decided above it."""

    where: str
    level: int  # how often values may still open inside values that nothing is said about, or inside their own kind
    is_closed: bool = False  # the keys of an object here are limited by another part of the same description

    def inside(self, key: object, *, is_closed: bool = False) -> "_At":
        return _At(f"{self.where}/{key}", self.level, is_closed)


class _Bounding:
    """One schema on its way."""

    def __init__(self, root: Node, bounds: Bounds) -> None:
        self._root, self._bounds = root, bounds
        self._anchors: dict[str, Node] = {}
        rewritten(root, self._note_anchor)
        self.added: dict[Added, None] = {}
        self._definitions: dict[str, Node] = {}
        self._names: dict[tuple[str, int, bool], str] = {}

    def whole(self) -> Node:
        """The new schema with its definitions."""
        node = self._node(self._root, _At("#", self._bounds.max_depth))
        return {**node, "$defs": self._definitions} if isinstance(node, Mapping) and self._definitions else node

    def _node(self, schema: Node, at: _At) -> Node:
        if schema is False:
            return False
        kept = {key: value for key, value in ({} if schema is True else schema).items() if key not in DROPPED}
        parts = self._parts(kept, at)
        own = {key: value for key, value in kept.items() if key not in IN_PLACE}
        closer = self._closer(own, parts, at)
        is_leaf = closer == HERE and "enum" not in own and "const" not in own
        inner = self._inner(own, at)
        changed = self._leaf(inner, at) if is_leaf else inner
        if "$ref" in kept:
            target = self._reference(kept["$ref"], at.inside("$ref", is_closed=at.is_closed or closer != "$ref"))
            if target == "":
                return False
            changed["$ref"] = target
        for word in parts and IN_PLACE[1:]:
            if word in kept:
                changed[word] = self._alternatives(word, kept[word], at, closer)
        # An object's properties come in the order in which its schema tells of them.
        return {word: changed.pop(word) for word in kept if word in changed} | changed

    def _parts(self, schema: Mapping[str, Any], at: _At) -> dict[str, list[Node]]:
        """What else describes the same value, by place: alternatives share one, because only one of them holds."""
        parts: dict[str, list[Node]] = {}
        for word in IN_PLACE:
            if word == "$ref" and word in schema:
                parts[word] = [self._target(schema[word], at)]
            elif word == "allOf":
                parts |= {f"allOf/{number}": [one] for number, one in enumerate(schema.get(word, []))}
            elif word in schema:
                parts[word] = list(schema[word])
        return parts

    def _closer(self, own: Mapping[str, Any], parts: Mapping[str, list[Node]], at: _At) -> str:
        """The place that limits an object's keys: one of the parts, HERE, or NOWHERE in this node."""
        telling = [place for place, nodes in parts.items() if any(self._tells_keys(one, at, frozenset()) for one in nodes)]
        telling += [HERE] if any(word in own for word in TELL_KEYS) else []
        if len(telling) > 1 or (telling and at.is_closed):
            raise UsageError(
                f"json schema: {at.where}: several places tell of an object's properties, so its keys cannot be bounded; "
                "write them in one place"
            )
        if telling:
            return telling[0]
        if at.is_closed and parts:
            return NOWHERE
        return next(iter(parts), HERE)

    def _tells_keys(self, node: Node, at: _At, seen: frozenset[str]) -> bool:
        if isinstance(node, bool):
            return False
        if any(word in node for word in TELL_KEYS):
            return True
        if str(node.get("$ref")) in seen:
            return False
        seen = seen | {str(node.get("$ref"))}
        return any(self._tells_keys(one, at, seen) for nodes in self._parts(node, at).values() for one in nodes)

    def _alternatives(self, word: str, nodes: Sequence[Node], at: _At, closer: str) -> list[Node]:
        places = [f"{word}/{number}" for number in range(len(nodes))]
        return [
            self._node(one, at.inside(place, is_closed=at.is_closed or closer not in (word, place)))
            for one, place in zip(nodes, places, strict=True)
        ]

    def _inner(self, schema: Mapping[str, Any], at: _At) -> dict[str, Any]:
        """The node with the schemas of its items and properties bounded."""
        changed = dict(schema)
        for word in ("items", "additionalItems", "additionalProperties"):
            if word in schema and not isinstance(schema[word], list):
                changed[word] = self._node(schema[word], at.inside(word))
        for word in ("items", "prefixItems"):
            if isinstance(schema.get(word), list):
                changed[word] = [self._node(one, at.inside(f"{word}/{place}")) for place, one in enumerate(schema[word])]
        for word in ("properties", "patternProperties"):
            if word in schema:
                changed[word] = {key: self._node(one, at.inside(f"{word}/{key}")) for key, one in schema[word].items()}
        return changed

    def _leaf(self, schema: Mapping[str, Any], at: _At) -> dict[str, Any]:
        """A node that nothing else describes, with limits on whatever it may be."""
        types = schema.get("type", TYPES)
        types = (types,) if isinstance(types, str) else types
        changed = dict(schema)
        if "string" in types:
            changed |= self._bounds.of_string(schema)
        if "number" in types or "integer" in types:
            changed |= self._bounds.of_number(schema, is_integer="number" not in types)
        if "array" in types:
            changed |= self._items(schema, at)
        if "object" in types and not at.is_closed:
            changed |= self._keys(schema, at)
        for word in LIMITS:
            if changed.get(word) != schema.get(word):
                self._note(f"{word}: {json.dumps(changed[word])}", at)
        return changed

    def _note(self, limit: str, at: _At) -> None:
        if at.where:
            self.added.setdefault(Added(limit, at.where))

    def _items(self, schema: Mapping[str, Any], at: _At) -> dict[str, Any]:
        is_tuple = isinstance(schema.get("items"), list)
        named = schema["items"] if is_tuple else schema.get("prefixItems", [])
        word = "additionalItems" if is_tuple else "items"
        rest = {} if word in schema else {word: self._anything(at)}
        return {**self._bounds.of_list(schema, num_named=len(named)), **rest}

    def _keys(self, schema: Mapping[str, Any], at: _At) -> dict[str, Any]:
        """Named properties and no others; or, where none is named, a few with short keys."""
        required = list(schema.get("required", []))
        others = schema.get("additionalProperties", None)
        patterns = dict(schema.get("patternProperties", {}))
        missing = [name for name in required if name not in schema.get("properties", {})]
        named = dict(schema.get("properties", {})) | {name: self._or_anything(others, at) for name in missing}
        if patterns and set(named) - set(required):
            raise UsageError(
                f"json schema: {at.where}: has optional properties beside 'patternProperties', which cannot be counted "
                "together; require the named ones or drop the patterns"
            )
        endless = [pattern for pattern in patterns if not has_end(pattern)]
        if endless:
            raise UsageError(
                f"json schema: {at.where}: keys like {endless[0]!r} may be of any length; want a pattern from ^ to $ that ends"
            )
        if not named and not patterns and others is not False:
            patterns = {f"^.{{0,{self._bounds.max_length}}}$": self._or_anything(others, at)}
            self._note(f"keys of at most {self._bounds.max_length} characters", at)
        changed: dict[str, Any] = {"properties": named} if named else {}
        if patterns:
            changed |= {"patternProperties": patterns, **self._bounds.of_object(schema, num_named=len(named))}
        return {**changed, "additionalProperties": False}

    def _or_anything(self, schema: Node | None, at: _At) -> Node:
        return self._anything(at) if schema is None or schema is True else schema

    def _anything(self, at: _At) -> Node:
        """Any value inside the one there, with as many levels of lists and objects as are left."""
        self._note(f"any values in it, bounded alike, at most {self._bounds.max_depth + 1} deep", at)
        inside = _At("", at.level - 1)  # nowhere in the schema that was given
        of_types: dict[str, Any] = {} if at.level > 0 else {"type": list(SCALARS)}
        return {"$ref": self._defined(("", at.level, False), lambda: self._leaf(of_types, inside))}

    def _reference(self, ref: str, at: _At) -> str:
        """A `$ref` to what this one points to, bounded; empty where it would open once too often inside itself."""
        target = self._target(ref, at)
        level = at.level
        if self._is_recursive(ref, at):
            level -= 1
            self._note(f"at most {self._bounds.max_depth} times inside itself", _At(ref, level))
        if level < 0:
            return ""
        return self._defined((ref, level, at.is_closed), lambda: self._node(target, _At(ref, level, at.is_closed)))

    def _defined(self, key: tuple[str, int, bool], make: Callable[[], Node]) -> str:
        if key not in self._names:
            name = self._names[key] = f"{len(self._names)}"
            self._definitions[name] = False  # keeps its place
            self._definitions[name] = make()
        return f"#/$defs/{self._names[key]}"

    def _is_recursive(self, ref: str, at: _At) -> bool:
        seen: set[str] = set()
        waiting = [ref]
        while waiting:
            found = set(_references(self._target(waiting.pop(), at))) - seen
            seen |= found
            waiting += found
        return ref in seen

    def _note_anchor(self, node: dict[str, Any], where: str) -> Node:
        del where
        if isinstance(node.get("$anchor"), str):
            self._anchors[f"#{node['$anchor']}"] = node
        return node

    def _target(self, ref: str, at: _At) -> Node:
        if ref in self._anchors:
            return self._anchors[ref]
        node: Any = self._root
        try:
            if ref != "#" and not ref.startswith("#/"):
                raise KeyError(ref)
            for step in ref.split("/")[1:]:
                name = unquote(step).replace("~1", "/").replace("~0", "~")
                node = node[int(name)] if isinstance(node, list) else node[name]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise UsageError(
                f"json schema: {at.where}: $ref {ref!r} points to nothing in the schema; want '#/$defs/...'"
            ) from error
        return dict(node) if isinstance(node, Mapping) else bool(node)


def _references(node: Node) -> Iterator[str]:
    found: list[str] = []

    def note(one: dict[str, Any], where: str) -> Node:
        del where
        if isinstance(one.get("$ref"), str):
            found.append(one["$ref"])
        return one

    rewritten(node, note)
    yield from found
