"""Laws that hold for every member of every door: who adds one file and one test gets these for free."""

import inspect
import json
import re
from importlib import import_module
from typing import Any

import pytest
from doors import ROOT, Door, doors
from pydantic import TypeAdapter, ValidationError

from whorl.core.canonical import encode, plain
from whorl.core.config import Member
from whorl.core.door import load, member_class

DOORS = doors()
MEMBERS = [(door, name) for door in DOORS for name in door.members]

each_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.package.removeprefix("whorl."))
each_member = pytest.mark.parametrize(
    ("door", "name"), MEMBERS, ids=[f"{door.package.removeprefix('whorl.')}.{name}" for door, name in MEMBERS]
)


def parent_of(door: Door) -> type[Member]:
    parent: Any = load(door.parent)
    return parent


def class_of(door: Door, name: str) -> type[Member]:
    found: Any = member_class(door.package, name, parent_of(door))
    return found


def public_name(door: Door, name: str) -> str:
    """What a recipe writes: `name`, or `room.name` for a stage."""
    return f"{door.package.split('.')[1]}.{name}" if door.package.endswith(".stages") else name


def test_there_are_doors_and_members_to_look_at() -> None:
    assert len(DOORS) >= 5
    assert len(MEMBERS) >= 10


@each_door
def test_a_door_says_how_to_add_a_member(door: Door) -> None:
    opening = import_module(door.package).__doc__ or ""
    if not door.package.endswith(".stages"):  # how to add a stage is said once, in core/stage
        assert re.search(r"\badd", opening, re.IGNORECASE), f"{door.package}: say in its docstring how to add a member"


@each_door
def test_a_door_is_abstract(door: Door) -> None:
    parent = parent_of(door)
    assert parent.is_door
    assert inspect.isabstract(parent), f"{door.parent} has no abstract verb"


@each_member
def test_a_member_is_one_final_class_with_a_docstring(door: Door, name: str) -> None:
    member = class_of(door, name)
    assert not inspect.isabstract(member), f"{member.__name__} lacks {', '.join(member.__abstractmethods__)}"
    assert (vars(member).get("__doc__") or "").strip(), f"{member.__name__} has no docstring"


@each_member
def test_a_member_has_a_test_of_its_own(door: Door, name: str) -> None:
    mirror = ROOT / "tests" / door.package.removeprefix("whorl.").replace(".", "/")
    assert (mirror / f"test_{name}.py").is_file(), f"write {mirror.relative_to(ROOT)}/test_{name}.py"


@each_member
def test_a_member_draws_its_schema(door: Door, name: str) -> None:
    member = class_of(door, name)
    schema = member.model_json_schema()
    json.dumps(schema, allow_nan=False)
    drawn = schema if "properties" in schema or "$ref" not in schema else schema["$defs"][schema["$ref"].rpartition("/")[2]]
    assert drawn.get("additionalProperties") is False, "a member refuses unknown keys"
    assert set(drawn.get("properties", {})) >= {member.model_fields[f].alias or f for f in member.model_fields}


@each_member
def test_the_defaults_of_a_member_are_valid_and_survive_being_written_to_a_recipe(door: Door, name: str) -> None:
    try:
        member = class_of(door, name)()
    except ValidationError as error:
        faults = {fault["type"] for fault in error.errors()}
        if faults == {"missing"}:
            return  # nothing to write down without values of its own
        raise
    written = plain(member)
    assert written["use"] == public_name(door, name)
    assert TypeAdapter(parent_of(door)).validate_python(written) == member
    assert TypeAdapter(parent_of(door)).validate_python(json.loads(encode(written))) == member
