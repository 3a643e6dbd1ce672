"""core/recipe_text: recipes as people write them: YAML with positions, overrides, and errors that point at a line.

Scalars follow the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/), as editors do: `no` and `2024-01-01` are text,
`3e-4` is a number. Keys are always text. Knows no recipe: any config model can be validated. Deliberately reads no tags beyond
the five scalars of JSON, no infinities, and no second document.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.composer import ComposerError

from whorl.core.errors import ConfigError, suggestion
from whorl.core.recipe_faults import Fault, Place, dotted, faults, shown

__all__ = ["Located", "Place", "apply_overrides", "read_yaml", "validate"]

M = TypeVar("M", bound=BaseModel)

_MAX_DEPTH = 64  # deeper than any recipe; keeps the parser's recursion far from Python's limit
_MAX_VALUES = 100_000  # counted after aliases are followed, so that nine lines of aliases cannot fill the memory
_TAG = "tag:yaml.org,2002:"


def _bool(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _int(text: str) -> int:
    return int(text, 0 if text[:2] in ("0x", "0o") else 10)


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _null(text: str) -> None:
    if text.lower() not in ("", "~", "null"):  # reached by an explicit `!!null` only
        raise ValueError(text)


# How each scalar of the core schema is recognised, by which first characters, and what reads it.
_SCALARS: Mapping[str, tuple[str, str, Callable[[str], object]]] = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF", _bool),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789", _int),
    "float": (r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789", _float),
    "null": (r"~|null|Null|NULL|", "~nN", _null),
}
_READERS: Mapping[str, Callable[[str], object]] = {
    f"{_TAG}str": str,
    **{f"{_TAG}{name}": read for name, (_, _, read) in _SCALARS.items()},
}


@dataclass(frozen=True)
class Located:
    """Plain data (dicts, lists, scalars) that remembers which line, or which override, each value came from."""

    path: Path
    data: dict[str, Any]
    lines: Mapping[Place, int]
    overrides: Mapping[Place, str] = field(default_factory=dict)  # place -> "a.b=value" as the user wrote it

    def line_of(self, place: Place) -> int:
        """Line (from 1) of a key or list item in the file; of the nearest enclosing one when the file does not have it."""
        while place not in self.lines:
            place = place[:-1]
        return self.lines[place]

    def origin(self, place: Place) -> str:
        """`recipe.yaml:12`, or `override a.b=value` when the value came from the command line."""
        for length in range(len(place), 0, -1):
            if place[:length] in self.overrides:
                return f"override {self.overrides[place[:length]]}"
        return f"{self.path}:{self.line_of(place)}"


class _Loader(yaml.SafeLoader):
    """PyYAML's composer with YAML 1.2 scalars, a depth limit and no duplicate keys."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ComposerError(None, None, f"nested more than {_MAX_DEPTH} deep", self.get_mark())
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                _refuse(key, "a key must be plain text")
            if key.value in seen:
                _refuse(key, f"duplicate key '{key.value}', also on line {seen[key.value]}; keep one of the two")
            seen[key.value] = key.start_mark.line + 1
        return node


_Loader.yaml_implicit_resolvers = {}  # an own table: PyYAML's would read `no` as false
for _name, (_pattern, _first, _) in _SCALARS.items():
    _Loader.add_implicit_resolver(
        f"{_TAG}{_name}", re.compile(f"^(?:{_pattern})$"), [*_first, *([""] if _name == "null" else [])]
    )
_Loader.add_implicit_resolver(f"{_TAG}merge", re.compile(r"^<<$"), ["<"])


def _refuse(node: yaml.Node | None, problem: str) -> NoReturn:
    raise ComposerError(None, None, problem, node.start_mark if node else None)


@dataclass
class _Builder:
    """Turns composed nodes into plain data and notes the line of every place."""

    lines: dict[Place, int] = field(default_factory=dict)
    count: int = 0

    def build(self, node: yaml.Node, place: Place) -> Any:  # noqa: ANN401 - YAML holds anything
        """The plain value of a node. Aliased nodes are built anew, so that no two places share a value."""
        self._count(node, len(place))
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            pairs = {key.value: (key, value) for key, value in self._pairs(node, len(place))}
            return {name: self._at(place, name, key, value) for name, (key, value) in pairs.items()}
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self._at(place, index, item, item) for index, item in enumerate(node.value)]
        if not isinstance(node, yaml.ScalarNode) or node.tag not in _READERS:
            _refuse(node, f"the tag '{node.tag}' is not allowed")
        try:
            return _READERS[node.tag](node.value)
        except (ValueError, KeyError):
            _refuse(node, f"{shown(node.value)} cannot be read as {node.tag.removeprefix(_TAG)}")

    def _count(self, node: yaml.Node, depth: int) -> None:
        self.count += 1
        if self.count > _MAX_VALUES or depth > _MAX_DEPTH:
            _refuse(node, "aliases make this endless or too large")

    def _at(self, place: Place, name: str | int, marked: yaml.Node, value: yaml.Node) -> Any:  # noqa: ANN401
        inner = (*place, name)
        self.lines[inner] = marked.start_mark.line + 1
        return self.build(value, inner)

    def _pairs(self, node: yaml.MappingNode, depth: int) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        """Merged keys first, so that a mapping's own keys win over what `<<:` brings in."""
        self._count(node, depth)
        for value in (value for key, value in node.value if key.tag == f"{_TAG}merge"):
            for merged in reversed(value.value) if isinstance(value, yaml.SequenceNode) else [value]:
                if not isinstance(merged, yaml.MappingNode):
                    _refuse(merged, "'<<' wants a mapping or a list of mappings")
                yield from self._pairs(merged, depth + 1)
        yield from ((key, value) for key, value in node.value if key.tag != f"{_TAG}merge")


def read_yaml(path: Path) -> Located:
    """The mapping a YAML file holds, with the line of every place.

    Raises ConfigError naming file and line: unreadable, not YAML, not a mapping, a duplicate key, a tag, too deep or too large.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    builder = _Builder()
    try:
        node = _compose(text)
        if not isinstance(node, yaml.MappingNode):
            _refuse(node, "want a mapping (`key: value` lines)")
        data = builder.build(node, ())
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}:{_line(error)}: {_problem(error)}") from error
    return Located(path, data, {(): node.start_mark.line + 1, **builder.lines})


def apply_overrides(located: Located, overrides: Sequence[str]) -> Located:
    """A copy with `a.b=value` settings applied in order; lists are indexed by number, and the last key may be new.

    Values are YAML scalars or flow collections (`[1, 2]`, `{use: x}`). Raises ConfigError naming the override.
    """
    data = _copied(located.data)
    applied = dict(located.overrides)
    for override in overrides:
        dotted, equals, text = override.partition("=")
        if not equals or not all(dotted.split(".")):
            raise ConfigError(f"override {override}: want place=value, like a.b=3")
        place = _assign(data, dotted.split("."), _override_value(override, text), override)
        applied = {at: written for at, written in applied.items() if not _is_under(at, place)}
        applied[place] = override
    return Located(located.path, data, located.lines, applied)


def validate(model: type[M], located: Located, *, trust: frozenset[str] = frozenset()) -> M:
    """The config that the data describes; `trust` names outside packages whose classes may be loaded.

    Raises one ConfigError with a line for each fault: where it is written, its dotted place, what was got and wanted.
    """
    try:
        return model.model_validate(located.data, context={"trust": trust})
    except ValidationError as error:
        lines = [_sentence(located, fault) for fault in faults(located.data, error)]
        raise ConfigError("\n".join(lines)) from error


def _compose(text: str) -> yaml.Node | None:
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _line(error: yaml.YAMLError) -> int:
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    return mark.line + 1 if mark else 1


def _problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        return ", ".join(part for part in (error.context, error.problem) if part)
    return str(error).partition("\n")[0]


def _copied(value: Any) -> Any:  # noqa: ANN401 - plain data
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _override_value(override: str, text: str) -> Any:  # noqa: ANN401 - plain data
    try:
        node = _compose(text)
        if node is None:
            raise ConfigError(f"override {override}: no value; write null for none and '' for empty text")
        if isinstance(node, yaml.CollectionNode) and not node.flow_style:
            raise ConfigError(f"override {override}: write collections as [a, b] or {{key: value}}, or quote the text")
        return _Builder().build(node, ())
    except yaml.YAMLError as error:
        raise ConfigError(f"override {override}: {_problem(error)}; quote the value if it is text") from error


def _assign(data: dict[str, Any], parts: list[str], value: object, override: str) -> Place:
    """Set the value in place; returns the place with list indices as numbers."""
    at: Any = data
    place: list[str | int] = []
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        key = _index(at, part, place, override) if isinstance(at, list) else part
        if isinstance(at, dict):
            if part not in at and not is_last:
                raise ConfigError(f"override {override}: no '{part}' in {dotted(place)}{suggestion(part, list(at))}")
        elif not isinstance(at, list):
            raise ConfigError(f"override {override}: {dotted(place)} is {shown(at)}, which has no '{part}' inside")
        place.append(key)
        if is_last:
            at[key] = value
        else:
            at = at[key]
    return tuple(place)


def _index(items: list[Any], part: str, place: list[str | int], override: str) -> int:
    if not part.isdecimal() or int(part) >= len(items):
        wanted = f"a number from 0 to {len(items) - 1}" if items else "nothing: the list is empty"
        raise ConfigError(f"override {override}: no item '{part}' in {dotted(place)}; want {wanted}")
    return int(part)


def _sentence(located: Located, fault: Fault) -> str:
    inside = [text for at, text in located.overrides.items() if len(at) > len(fault.place) and _is_under(at, fault.place)]
    after = f" (after override {', '.join(inside)})" if inside else ""
    return f"{located.origin(fault.place)}: {dotted(fault.place)}: {fault.what}{after}"


def _is_under(place: Place, top: Place) -> bool:
    return place[: len(top)] == top
