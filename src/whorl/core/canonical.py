"""core/canonical: one spelling for a config, its fingerprint, and the field-by-field difference of two.

Refuses what has no stable spelling (callables, objects printed with their address) rather than hashing it by accident.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from whorl.core.config import Member, Ref, is_hashed, public_name
from whorl.core.quantity import Length

__all__ = ["ABSENT", "Change", "changes", "digest", "encode", "plain"]


class _Absent:
    """Where one of two compared values has no such place; unlike null, which is a value."""

    def __repr__(self) -> str:
        return "(absent)"


ABSENT = _Absent()
_HASH = re.compile(r"[0-9a-f]{64}")


def plain(value: object, *, hashed_only: bool = False) -> Any:  # noqa: ANN401 - JSON has no better type
    """Lists, dicts and scalars that say the same as a config; members carry their `use`, references their text.

    With `hashed_only`, fields that never change what comes out (workers, paths) are left out, and a reference keeps only
    its part: what it points at counts by content. Raises TypeError for a value that has no stable spelling.
    """
    if isinstance(value, BaseModel):
        return _plain_model(value, hashed_only=hashed_only)
    if isinstance(value, Ref):
        return {"part": value.part} if hashed_only else value.written
    if isinstance(value, Mapping):
        return {str(key): plain(item, hashed_only=hashed_only) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = [plain(item, hashed_only=hashed_only) for item in value]
        return sorted(items) if isinstance(value, set | frozenset) else items
    if isinstance(value, Length):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{type(value).__name__} has no canonical spelling and cannot be part of an artifact's identity")


def _plain_model(value: BaseModel, *, hashed_only: bool) -> dict[str, Any]:
    model = type(value)
    drawn = {"use": value.use} if isinstance(value, Member) else {}
    for name in model.model_fields:
        if not hashed_only or is_hashed(model, name):
            drawn[public_name(model, name)] = plain(getattr(value, name), hashed_only=hashed_only)
    return drawn


def encode(value: object) -> str:
    """Canonical JSON of a plain value: sorted keys, no spaces, NaN refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: object) -> str:
    """64 hexadecimal digits (SHA-256) of a plain value."""
    return hashlib.sha256(encode(value).encode()).hexdigest()


class Change(NamedTuple):
    """One difference between two identities: where, from what, to what; either may be ABSENT."""

    place: str
    before: object
    after: object

    def __str__(self) -> str:
        return f"{self.place}: {_shown(self.before)} -> {_shown(self.after)}"


def changes(before: object, after: object, place: str = "") -> Iterator[Change]:
    """Field-level differences of two plain values, in the order of the newer one."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*after, *(k for k in before if k not in after)]:
            inner = f"{place}.{key}" if place else str(key)
            yield from changes(before.get(key, ABSENT), after.get(key, ABSENT), inner)
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            old = before[index] if index < len(before) else ABSENT
            new = after[index] if index < len(after) else ABSENT
            yield from changes(old, new, f"{place}.{index}")
    elif before is ABSENT or after is ABSENT or encode(before) != encode(after):  # encoded: 1, 1.0 and true hash differently
        yield Change(place, before, after)


def _shown(value: object) -> str:
    if value is ABSENT:
        return repr(value)
    text = value if isinstance(value, str) else encode(value)
    if isinstance(value, str) and _HASH.fullmatch(value):
        return value[:12]
    return text if len(text) <= 60 else f"{text[:57]}..."
