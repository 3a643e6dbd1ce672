"""core/recipe_faults: what a validation error says to the person who wrote the recipe.

Turns pydantic's error list into faults: a place in the written data and one clause with what was got and what was wanted.
Where a union tried several alternatives, only the one that got furthest speaks. Does not know files, lines or overrides.
"""

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from whorl.core.errors import suggestion

__all__ = ["Fault", "Place", "dotted", "faults", "shown"]

Place = tuple[str | int, ...]


class Fault(NamedTuple):
    """One thing wrong with the data: where, and a clause that says what."""

    place: Place
    what: str


def faults(data: object, error: ValidationError) -> list[Fault]:
    """Every fault of the data that failed to validate, in the order of the data."""
    found = [_raw(data, detail) for detail in error.errors(include_url=False)]
    kept = _merged([fault for fault in found if not _is_shadowed(fault, found)])
    return [Fault(fault.place, fault.says or f"got {fault.got}, wanted {fault.wanted}") for fault in kept]


def dotted(place: Sequence[str | int]) -> str:
    """`stages.clean.filters.0`; the whole of the data is called `the recipe`."""
    return ".".join(map(str, place)) or "the recipe"


def shown(value: object) -> str:
    """A value as a message quotes it, at most 60 characters."""
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=repr)
    return text if len(text) <= 60 else f"{text[:57]}..."


class _Raw(NamedTuple):
    """One pydantic error: where the data is wrong, and either a sentence or what was got and wanted."""

    place: Place
    owner: Place  # the value that failed: the place without the key an error added to it
    says: str  # a whole sentence; empty when `wanted` is set
    got: str
    wanted: str
    is_choice: bool  # one of several alternatives a union tried
    is_unopened: bool  # a door did not know the name


_WANTED = {
    **dict.fromkeys(("tuple_type", "list_type", "set_type", "frozen_set_type"), "a list"),
    **dict.fromkeys(("dict_type", "model_type", "mapping_type"), "a mapping"),
}


def _raw(data: object, detail: ErrorDetails) -> _Raw:
    kind, context = detail["type"], detail.get("ctx", {})
    owner, is_choice = _walked(data, detail)
    place = (*owner, context["key"]) if "key" in context else owner
    is_unopened = kind in ("no_member", "want_use")
    says = _says(kind, detail)
    got = "" if says else shown(detail["input"])
    return _Raw(place, owner, says, got, "" if says else _wanted(kind, detail), is_choice, is_unopened)


def _walked(data: object, detail: ErrorDetails) -> tuple[Place, bool]:
    """The parts of an error's place that lead through the data, and whether a union tried the value at its end.

    What pydantic adds besides (names of validators and of union branches) is not something the user wrote.
    """
    place: list[str | int] = []
    is_choice = False
    for number, part in enumerate(detail["loc"]):
        is_last = number == len(detail["loc"]) - 1
        if (isinstance(data, dict) and part in data) or (isinstance(data, list) and part in range(len(data))):
            data = data[part]  # type: ignore[index]  # one of the two containers of the line above
        elif not (is_last and detail["type"] == "missing"):
            is_choice = True
            continue
        place.append(part)
        is_choice = False
    return tuple(place), is_choice


def _says(kind: str, detail: ErrorDetails) -> str:
    if kind == "missing":
        return "missing, and there is no default"
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if kind in ("unknown_key", "no_member"):
        return detail["msg"]
    return ""


def _wanted(kind: str, detail: ErrorDetails) -> str:
    context, got = detail.get("ctx", {}), detail["input"]
    if kind in _WANTED:
        return _WANTED[kind]
    if kind == "want_use":
        return f"a mapping with 'use: NAME' (one of: {context['names']})"
    if kind in ("too_short", "too_long"):
        bound, count = ("at least", "min_length") if kind == "too_short" else ("at most", "max_length")
        return f"{bound} {context[count]} {'item' if context[count] == 1 else 'items'}"
    rest = detail["msg"].removeprefix("Input should be ")
    if rest == detail["msg"]:
        return f"something else: {rest[:1].lower()}{rest[1:]}"
    rest = re.split(r", (?:unable|got|input)\b", rest)[0]
    if kind == "literal_error" and isinstance(got, str):
        hint = suggestion(got, re.findall(r"'([^']*)'", context["expected"]))
        rest += hint if "did you mean" in hint else ""
    return f"a number {rest}" if rest.startswith(("greater", "less")) else rest


def _is_shadowed(fault: _Raw, found: list[_Raw]) -> bool:
    """Whether another branch of the same union got further, so that this branch is not the one the user meant."""
    if not (fault.is_choice or fault.is_unopened):
        return False
    depth = len(fault.owner)
    return any(other.owner[:depth] == fault.owner and _reach(other) > _reach(fault) for other in found)


def _reach(fault: _Raw) -> tuple[int, bool, int]:
    """How far into the data a branch came before it failed: deeper first, then a name nearly right, then more than a type."""
    return len(fault.owner), "did you mean" in fault.says, 0 if fault.wanted else 1 if fault.is_unopened else 2


def _merged(faults: list[_Raw]) -> list[_Raw]:
    """One fault per place and value got, its alternatives joined with `or`."""
    merged: dict[tuple[Place, str, str], _Raw] = {}
    for fault in faults:
        key = (fault.place, fault.got, fault.says)
        known = merged.get(key)
        if known is None or fault.wanted in known.wanted:
            merged.setdefault(key, fault)
        else:
            merged[key] = known._replace(wanted=f"{known.wanted} or {fault.wanted}")
    return list(merged.values())
