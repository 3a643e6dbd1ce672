"""core/quantity: amounts with units, as recipes write them: `2M tokens`, `400 steps`, `3h`, `40GB`.

A number without a unit is refused wherever more than one unit would make sense.
"""

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

__all__ = ["Bytes", "Length", "LengthUnit", "Seconds", "size_bytes"]

LengthUnit = Literal["tokens", "steps", "epochs", "seconds"]

_NUMBER = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*([A-Za-z]*)\s*$")
_SCALES = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_SIZES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_TIMES = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Length:
    """How long a stage trains: tokens seen, optimizer steps, passes over the data, or seconds (resolved once, then pinned)."""

    amount: float
    unit: LengthUnit

    def __str__(self) -> str:
        # All digits: this spelling is hashed, and `parse` must give the same Length back.
        number = f"{Decimal(repr(float(self.amount))):f}".removesuffix(".0")
        return f"{number}s" if self.unit == "seconds" else f"{number} {self.unit}"

    @classmethod
    def parse(cls, data: object) -> "Length":
        """A Length from `2M tokens`, `400 steps`, `3 epochs` or `3h`. Raises ValueError saying what was wanted."""
        if isinstance(data, Length):
            return data
        wanted = "want an amount with a unit, like '2M tokens', '400 steps', '3 epochs' or '3h'"
        match = _NUMBER.match(data) if isinstance(data, str) else None
        if match is None:
            raise ValueError(f"{wanted}; got {data!r}")
        number, first, second = match.groups()
        scale, unit = (first, second) if second else ("", first)
        if unit in _TIMES and not scale:
            return Length(float(Decimal(number) * _TIMES[unit]), "seconds")
        unit = unit if unit.endswith("s") else f"{unit}s"
        if unit not in get_args(LengthUnit)[:3] or scale not in _SCALES:
            raise ValueError(f"{wanted}; got {data!r}")
        return Length(float(Decimal(number) * _SCALES[scale]), unit)  # type: ignore[arg-type]  # checked on the line above

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        return core_schema.no_info_plain_validator_function(cls.parse)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "description": "an amount with a unit: 2M tokens, 400 steps, 3 epochs, 3h"}


def size_bytes(data: object) -> int:
    """Bytes from `40GB` (decimal units) or a plain integer. Raises ValueError."""
    if isinstance(data, int) and not isinstance(data, bool) and data >= 0:
        return data
    match = _NUMBER.match(data) if isinstance(data, str) else None
    if match is None or match.group(3) or match.group(2).upper() not in _SIZES:
        raise ValueError(f"want a size like '40GB' or '512KB'; got {data!r}")
    size = Decimal(match.group(1)) * _SIZES[match.group(2).upper()]  # Decimal: 2.3MB is 2300000 bytes, not 2299999
    if size % 1:
        raise ValueError(f"want a whole number of bytes; got {data!r}")
    return int(size)


def _seconds(data: object) -> float:
    if isinstance(data, int | float) and not isinstance(data, bool) and 0 <= data < math.inf:
        return float(data)
    match = _NUMBER.match(data) if isinstance(data, str) else None
    if match is None or match.group(3) or match.group(2) not in _TIMES:
        raise ValueError(f"want a duration like '30s', '15min' or '3h'; got {data!r}")
    return float(Decimal(match.group(1)) * _TIMES[match.group(2)])


Bytes = Annotated[int, BeforeValidator(size_bytes, json_schema_input_type=int | str)]
Seconds = Annotated[float, BeforeValidator(_seconds, json_schema_input_type=float | str)]
