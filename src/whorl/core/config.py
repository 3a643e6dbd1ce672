"""core/config: what every recipe value is made of: frozen models, doors and references.

A pure component is its config; a stateful one has a frozen config with `build()`. Unknown keys are errors that suggest the
right one. Reading YAML and placing errors in it lives in core/recipe_text; quantities with units in core/quantity.
"""

import os
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from whorl.core.door import member_class, member_names
from whorl.core.errors import ConfigError, suggestion

__all__ = [
    "PARTS",
    "UNHASHED",
    "Config",
    "Member",
    "Part",
    "Ref",
    "is_hashed",
    "public_name",
    "refs_in",
    "worker_environment",
]

Part = Literal["train", "held_out", "exam"]
PARTS: tuple[Part, ...] = get_args(Part)

# Field(json_schema_extra=UNHASHED): the value changes how or where work is done, never what comes out.
UNHASHED: dict[str, Any] = {"hashed": False}


_doors_being_drawn: ContextVar[frozenset[type]] = ContextVar("_doors_being_drawn", default=frozenset())


class Config(BaseModel):
    """Base of every value in a recipe: frozen, no unknown keys, defaults validated."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _unknown_keys_suggest(cls, data: Any) -> Any:  # noqa: ANN401 - pydantic hands over anything
        if not isinstance(data, dict):
            return data
        known = [public_name(cls, name) for name in cls.model_fields]
        for key in data:
            if key not in known and key not in cls.model_fields:
                hint = suggestion(str(key), known)
                raise PydanticCustomError("unknown_key", "unknown key{hint}", {"key": str(key), "hint": hint})
        return data


def public_name(model: type[BaseModel], field: str) -> str:
    """The name a field has in a recipe: its alias if it has one (`from`), else its own."""
    return model.model_fields[field].alias or field


def is_hashed(model: type[BaseModel], field: str) -> bool:
    """Whether a field is part of an artifact's identity."""
    extra = model.model_fields[field].json_schema_extra
    return not (isinstance(extra, dict) and extra.get("hashed") is False)


class Member(Config):
    """A config found by name behind a door.

    The class that defines the door (`class Filter(Member, is_door=True)`, in the door's `__init__`) accepts
    `{"use": name, ...}` and becomes the member of that name; the members themselves are ordinary configs.
    """

    is_door: ClassVar[bool] = False

    def __init_subclass__(cls, *, is_door: bool = False, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init_subclass__(**kwargs)
        cls.is_door = is_door

    @classmethod
    def find(cls, use: str, trust: frozenset[str]) -> type[Self]:
        """The member class called `use`; only for the door class. Raises ConfigError."""
        return member_class(cls.__module__, use, cls, trust=trust)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Every public name behind this door."""
        return member_names(cls.__module__)

    @property
    def use(self) -> str:
        """The public name of this member, as a recipe writes it; `pkg.mod:Class` for one from outside the house."""
        module = type(self).__module__
        if not module.startswith("whorl."):
            return f"{module}:{type(self).__name__}"
        door = next(parent.__module__ for parent in type(self).__mro__ if vars(parent).get("is_door"))
        return module.removeprefix(f"{door}.").partition(".")[0]  # a member may have grown into a folder

    @model_validator(mode="wrap")
    @classmethod
    def _open_door(cls, data: Any, handler: Any, info: ValidationInfo) -> Any:  # noqa: ANN401
        if isinstance(data, cls) or not isinstance(data, Mapping):
            return handler(data) if not cls.is_door or isinstance(data, cls) else _want_use(cls, data)
        if not cls.is_door:
            return _same_use(data, handler({key: value for key, value in data.items() if key != "use"}))
        if not isinstance(data.get("use"), str):
            return _want_use(cls, data)
        trust = frozenset((info.context or {}).get("trust", ()))
        try:
            member = cls.find(data["use"], trust)
        except ConfigError as error:
            raise PydanticCustomError("no_member", "{why}", {"why": str(error), "key": "use"}) from error
        return member.model_validate({k: v for k, v in data.items() if k != "use"}, context=info.context)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        if not cls.is_door:
            return handler(schema)
        if cls in _doors_being_drawn.get():  # a member that holds members of its own door: name them, but do not go round
            return {"type": "object", "properties": {"use": {"enum": list(cls.names())}}, "required": ["use"]}
        token = _doors_being_drawn.set(_doors_being_drawn.get() | {cls})
        try:
            return {"anyOf": [_drawn(cls.find(name, frozenset()), name, handler) for name in cls.names()]}
        finally:
            _doors_being_drawn.reset(token)


def _drawn(member: type[Member], name: str, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
    drawn = handler.resolve_ref_schema(handler(member.__pydantic_core_schema__))
    properties = {"use": {"const": name}, **drawn.get("properties", {})}
    return {**drawn, "properties": properties, "required": ["use", *drawn.get("required", [])]}


def _same_use(data: Mapping[Any, Any], member: Any) -> Any:  # noqa: ANN401
    if data.get("use", member.use) != member.use:
        why = f"this is '{member.use}', not '{data['use']}'"
        raise PydanticCustomError("no_member", "{why}", {"why": why, "key": "use"})
    return member


def _want_use(cls: type[Member], data: object) -> Any:  # noqa: ANN401
    names = ", ".join(cls.names())
    raise PydanticCustomError(
        "want_use",
        "want a mapping with 'use: NAME' (one of: {names}), got {got}",
        {"names": names, "got": repr(data)[:60]},
    )


K = TypeVar("K", bound=str)


class Ref(Generic[K]):
    """A reference to an artifact: a stage's name, `name@version`, or a path to adopt; optionally one part of it.

    In a recipe: `ids`, `ids.held_out`, `clean@2`, `./my_model`, or `{use: dialogues, path: chats.jsonl}`.
    `Ref[Literal["tokens"]]` says which kinds the field accepts; flow checks it against what the stage makes.
    """

    # Not a dataclass: pydantic would build its own schema for a generic dataclass and ignore ours.
    __slots__ = ("kinds", "part", "target")

    def __init__(self, target: str, part: Part | None = None, kinds: tuple[str, ...] = ()) -> None:
        self.target = target
        self.part = part
        self.kinds = kinds

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"Ref({str(self)!r})"

    @property
    def is_path(self) -> bool:
        """Whether the target is a file or folder to adopt rather than the name of a stage."""
        return "/" in self.target or self.target.startswith(".")

    @property
    def written(self) -> str | dict[str, str]:
        """What a recipe would hold; a path says its kind where that is known, so that it can be read back anywhere."""
        if self.is_path and len(self.kinds) == 1:
            return {"use": self.kinds[0], "path": self.target}
        return str(self)

    def __str__(self) -> str:
        return f"{self.target}.{self.part}" if self.part else self.target

    @classmethod
    def parse(cls, data: object, kinds: tuple[str, ...]) -> "Ref[Any]":
        """A Ref from what a recipe holds. Raises ValueError saying what was wanted."""
        if isinstance(data, Ref):
            return Ref(data.target, data.part, kinds or data.kinds)
        if isinstance(data, Mapping) and set(data) == {"use", "path"}:
            if data["use"] not in kinds:
                raise ValueError(f"want one of {', '.join(kinds)}, got '{data['use']}'")
            path = str(data["path"])
            return Ref(path if "/" in path else f"./{path}", None, (str(data["use"]),))
        if not isinstance(data, str) or not data.strip():
            raise ValueError(f"want a stage's name, name@version or a path, got {data!r}")
        head, dot, tail = data.rpartition(".")
        if dot and tail in PARTS and head:
            return Ref(head, tail, kinds)
        return Ref(data, None, kinds)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        arguments = get_args(source)
        kinds = tuple(get_args(arguments[0])) if arguments else ()
        return core_schema.no_info_plain_validator_function(lambda data: cls.parse(data, kinds))

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": ["string", "object"], "description": "a stage's name, name@version, or a path to adopt"}


def refs_in(value: object, path: str = "") -> Iterator[tuple[str, "Ref[Any]"]]:
    """Every reference inside a config with its dotted place, in field order."""
    if isinstance(value, Ref):
        yield path, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from refs_in(getattr(value, name), _join(path, public_name(type(value), name)))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from refs_in(item, _join(path, str(key)))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from refs_in(item, _join(path, str(index)))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def worker_environment() -> dict[str, str]:
    """The environment for a process that computes: this one's, with OpenMP threads that sleep at a barrier.

    By default they spin, and on a machine that does anything else at the same time two spinning threads were three to ten
    times slower than two sleeping ones (docs/log.md, 2026-11-21). Whoever sets the variable keeps their setting.
    """
    return {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
