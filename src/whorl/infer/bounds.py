"""infer/bounds: how much a bounded JSON schema lets an answer write: of a string, a number, a list, an object.

The limits alone, and what they come to for one node of a schema that infer/schema has checked; infer/bounded takes them through
a whole one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from whorl.core.errors import UsageError

__all__ = ["Bounds", "has_end"]

MOST_DIGITS = 9
# Characters that a format has room in, fractions of a second and all.
FORMAT_LENGTHS = {"date-time": 35, "time": 24, "date": 10, "duration": 16, "email": 24, "uuid": 36, "ipv4": 15, "ipv6": 39}


@dataclass(frozen=True)
class Bounds:
    """What a schema leaves open is closed here; what it bounds more narrowly stays. Raises UsageError for a bound below one."""

    max_length: int = 64  # characters of a string, and of a key that the schema does not name
    max_items: int = 8  # of a list
    max_properties: int = 4  # of an object that names none, or whose keys follow patterns; one that names some gets no others
    max_digits: int = 6  # before a number's point; as many after it
    max_depth: int = 3  # of values about which nothing is said, and of definitions inside themselves
    only_open: bool = False  # what a schema bounds itself stays, however wide that is

    def __post_init__(self) -> None:
        wrong = [f"{name}={value}" for name, value in vars(self).items() if name != "only_open" and value < 1]
        wrong += [f"max_digits={self.max_digits}"] if self.max_digits > MOST_DIGITS else []
        if wrong:
            raise UsageError(f"bounds: got {wrong[0]}; want 1 or more, and at most {MOST_DIGITS} digits")

    def of_string(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """How long a string may be: as long as it must, if that is longer."""
        if "pattern" in schema and has_end(schema["pattern"]):
            return {}
        needed = max(_count(schema, "minLength"), FORMAT_LENGTHS.get(schema.get("format", ""), 0))
        return {"maxLength": self._least(schema, "maxLength", max(self.max_length, needed))}

    def of_list(self, schema: Mapping[str, Any], *, num_named: int) -> dict[str, Any]:
        """How many items a list may have: all that are described one by one, at least."""
        return {"maxItems": self._least(schema, "maxItems", max(self.max_items, num_named, _count(schema, "minItems")))}

    def of_object(self, schema: Mapping[str, Any], *, num_named: int) -> dict[str, Any]:
        """How many properties an object may have that takes others than those it names."""
        most = max(num_named + self.max_properties, _count(schema, "minProperties"))
        return {"maxProperties": self._least(schema, "maxProperties", most)}

    def of_number(self, schema: Mapping[str, Any], *, is_integer: bool) -> dict[str, Any]:
        """Between which numbers, and in which steps: more digits where the schema's own limits have more."""
        own = {
            word: Decimal(str(schema[word]))
            for word in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
            if word in schema
        }
        largest = 10 ** max([self.max_digits, *(value.adjusted() + 2 for value in own.values() if value)]) - 1
        limits: dict[str, Any] = {}
        if "minimum" not in own and "exclusiveMinimum" not in own:
            limits["minimum"] = -largest
        if "maximum" not in own and "exclusiveMaximum" not in own:
            limits["maximum"] = largest
        if not is_integer and "multipleOf" not in own:
            places = max([self.max_digits, *(1 - _exponent(value) for value in own.values())])
            limits["multipleOf"] = float(f"1e-{places}")
        return limits

    def _least(self, schema: Mapping[str, Any], word: str, limit: int) -> int:
        own = _count(schema, word)
        return limit if word not in schema else own if self.only_open else min(own, limit)


def has_end(pattern: str) -> bool:
    """Whether a regular expression matches no text beyond some length, as far as one can see without compiling it."""
    bare = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "x", pattern)
    if not bare.startswith("^") or not bare.endswith("$") or re.search(r"[*+]|\{\d*,\}", bare):
        return False
    while "(" in bare:
        outer = re.sub(r"\([^()]*\)", "x", bare)
        if outer == bare:
            return False
        bare = outer
    return "|" not in bare  # at the top, it parts an anchor from what the anchor should hold


def _count(schema: Mapping[str, Any], word: str) -> int:
    return int(schema.get(word, 0))


def _exponent(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    assert isinstance(exponent, int), "infinite bounds were refused before"
    return exponent
