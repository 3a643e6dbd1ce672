"""evals/task_field: the type of one entry of an exam: a suite or a benchmark, whichever door has the name.

The two doors are in different kits and rooms and share one list in a recipe; a wrong name is suggested from both.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from whorl.core.config import Member
from whorl.core.errors import ConfigError, suggestion
from whorl.evals.suites import Suite
from whorl.tasks.benchmarks import Benchmark

__all__ = ["ExamTask"]

_DOORS: tuple[type[Member], ...] = (Suite, Benchmark)


class _EitherDoor:
    """The pydantic schema of "a Suite or a Benchmark"."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        del source, handler
        return core_schema.with_info_plain_validator_function(_opened)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        del schema
        return {"anyOf": [door.__get_pydantic_json_schema__(door.__pydantic_core_schema__, handler) for door in _DOORS]}


def _opened(data: object, info: ValidationInfo) -> Member:
    if isinstance(data, _DOORS):
        return data
    doors = {name: door for door in _DOORS for name in door.names()}
    use = data.get("use") if isinstance(data, Mapping) else None
    if not isinstance(use, str):
        fields = {"names": ", ".join(sorted(doors)), "got": repr(data)[:60]}
        raise PydanticCustomError("want_use", "want a mapping with 'use: NAME' (one of: {names}), got {got}", fields)
    door = _outside_door(use, info) if ":" in use else doors.get(use)
    if door is None:
        why = f"no suite or benchmark '{use}'{suggestion(use, tuple(sorted(doors)))}"
        raise PydanticCustomError("no_member", "{why}", {"why": why, "key": "use"})
    return door.model_validate(data, context=info.context)


def _outside_door(use: str, info: ValidationInfo) -> type[Member]:
    """Suite for a class that is one, else Benchmark, whose own error then says what is wrong with it."""
    try:
        Suite.find(use, frozenset((info.context or {}).get("trust", ())))
    except ConfigError:
        return Benchmark
    return Suite


ExamTask = Annotated[Suite | Benchmark, _EitherDoor]
