"""infer/structure: what an answer may be made to keep to: a JSON schema, any JSON object, a regular expression, or choices.

A structure is only the wish, checked and written down as text; infer/guide compiles it for a vocabulary and holds an answer to
it. What a schema may say: infer/schema. Does not need llguidance.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from whorl.core.errors import UsageError, suggestion
from whorl.infer.bounded import bounded
from whorl.infer.bounds import Bounds
from whorl.infer.schema import Node, checked

__all__ = ["Kind", "Structure", "Whitespace"]

Kind = Literal["json schema", "json object", "regex", "choice"]
Whitespace = Literal["none", "some", "any"]

# Where JSON allows whitespace. "any" is all that JSON allows: a model can then write blanks for ever.
WHITESPACE: Mapping[str, Mapping[str, Any]] = {
    "none": {"whitespace_flexible": False},
    "some": {"whitespace_pattern": "[ ]|\\n[ ]{0,32}"},
    "any": {"whitespace_flexible": True},
}


@dataclass(frozen=True)
class Structure:
    """What was asked for. Equal structures share one compiled grammar."""

    kind: Kind
    text: str  # the schema as JSON with its settings, the regular expression, or the choices as a JSON list

    @classmethod
    def schema(cls, schema: Node, *, whitespace: Whitespace = "some", bounds: Bounds | None = None) -> Self:
        """JSON that this schema (draft 2020-12, or the `$schema` it names) accepts, properties in the schema's order.

        With `bounds`, the schema is made stricter until every answer ends (infer/bounded); without, what it leaves open stays
        open. Keys of an open object may come twice, as JSON allows; the later one counts. Raises UsageError for a schema that
        is malformed or says what cannot be enforced, naming the keyword and its place.
        """
        exact = checked(schema)
        return cls("json schema", _written(exact if bounds is None else checked(bounded(schema, bounds)), whitespace))

    @classmethod
    def json_object(cls, *, whitespace: Whitespace = "some", bounds: Bounds | None = None) -> Self:
        """Any JSON object."""
        whole: dict[str, Any] = {"type": "object"}
        return cls("json object", _written(whole if bounds is None else bounded(whole, bounds), whitespace))

    @classmethod
    def regex(cls, pattern: str) -> Self:
        r"""Text that the pattern matches as a whole: syntax of Rust's regex crate, `\d` and `\w` ASCII, no look-around."""
        if not pattern:
            raise UsageError("regex: got an empty pattern, which only an empty answer matches; want at least one character")
        return cls("regex", pattern)

    @classmethod
    def choice(cls, choices: Sequence[str]) -> Self:
        """One of these texts."""
        if isinstance(choices, str):
            raise UsageError(f"choice: got the text {choices!r}; want a list of texts")
        wrong = [one for one in choices if not isinstance(one, str) or not one]
        if wrong or not choices:
            raise UsageError(f"choice: got {wrong[0]!r} among the choices; want texts of at least one character" if wrong else
                             "choice: got no choices; want at least one text")  # fmt: skip
        if len(set(choices)) < len(choices):
            twice = next(one for place, one in enumerate(choices) if one in choices[:place])
            raise UsageError(f"choice: got {twice!r} twice; want every choice once")
        return cls("choice", json.dumps(list(choices)))


def _written(schema: Node, whitespace: Whitespace) -> str:
    if whitespace not in WHITESPACE:
        raise UsageError(f"whitespace: got {whitespace!r}{suggestion(str(whitespace), tuple(WHITESPACE))}")
    whole = schema if isinstance(schema, Mapping) else ({} if schema else {"allOf": [False]})
    return json.dumps({**whole, "x-guidance": WHITESPACE[whitespace]})
