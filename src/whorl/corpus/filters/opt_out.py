"""corpus/filters/opt_out: drop documents whose publisher asked that they not be used to train models.

Reads what the source recorded in the column `rights`: robots directives of the page and of the HTTP header, the text and data
mining reservation (https://www.w3.org/community/reports/tdmrep/CG-FINAL-tdmrep-20240510/), and the agents that the site's
robots.txt keeps from the page. Asks no server. `noimageai` speaks of pictures and `noindex` of search, so neither counts by
itself; add a directive to `directives` to make it count. A document without evidence is kept: silence is not an opt-out here.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from whorl.corpus.document_batch import DocumentBatch
from whorl.corpus.filters import Filter
from whorl.corpus.verdict import Choice, Figure

__all__ = ["OptOut"]

Kind = Literal["robots_meta", "robots_txt", "tdm_reservation", "x_robots_tag"]

_UNREADABLE = "unreadable"
_SEPARATORS = str.maketrans(dict.fromkeys(";,= \t\r\n", "_"))


class OptOut(Filter):
    """Which kinds of evidence count, and whose."""

    evidence: tuple[Kind, ...] = Field(("robots_meta", "robots_txt", "tdm_reservation", "x_robots_tag"), min_length=1)
    directives: tuple[str, ...] = ("noai", "noml")  # of robots_meta and x_robots_tag
    agents: tuple[str, ...] = ()  # whose exclusion by robots.txt counts; empty: any agent the source asked for
    robots_txt: Literal["any", "all"] = "any"  # how many of the agents have to be kept out
    unreadable: Literal["keep", "drop"] = "drop"  # rights that are there but are not what a source writes

    @model_validator(mode="after")
    def _all_of_somebody(self) -> Self:
        if self.robots_txt == "all" and not self.agents:
            raise ValueError("robots_txt: all wants a list of agents, e.g. agents: [GPTBot, CCBot]")
        return self

    def figures(self, batch: DocumentBatch) -> Mapping[str, Figure]:
        """See Filter.figures: `kind=value,value;kind=value` in order of kind, null without evidence."""
        return {"opt_out.evidence": _mapped(batch.column("rights"), _evidence)}

    def rules(self, figures: Mapping[str, Figure]) -> Sequence[Choice]:
        """See Filter.rules."""
        found = figures["opt_out.evidence"]
        unreadable = Choice("unreadable_rights", found, denied=frozenset([_UNREADABLE]))
        opted_out = Choice("opted_out", _mapped(found, self._counting), allowed=frozenset())
        return [*([unreadable] if self.unreadable == "drop" else []), opted_out]

    def _counting(self, evidence: str) -> str | None:
        """The part of the evidence that counts, or None."""
        kinds = dict(item.split("=", 1) for item in evidence.split(";") if "=" in item)
        values = {kind: kinds[kind].split(",") for kind in sorted(set(self.evidence) & set(kinds))}
        weighed = {kind: self._weighed(kind, found) for kind, found in values.items()}
        return ";".join(f"{kind}={','.join(found)}" for kind, found in weighed.items() if found) or None

    def _weighed(self, kind: str, found: Sequence[str]) -> list[str]:
        if kind == "tdm_reservation":
            return [value for value in found if value == "1"]
        if kind == "robots_txt":
            wanted = {agent.lower() for agent in self.agents}
            hits = [agent for agent in found if not wanted or agent.lower() in wanted]
            return hits if self.robots_txt == "any" or len(hits) == len(wanted) else []
        wanted = {directive.lower() for directive in self.directives}
        return [directive for directive in found if directive.rpartition(":")[2] in wanted]


def _evidence(rights: str) -> str | None:
    """What a `rights` object says of training, in one line."""
    try:
        value = json.loads(rights)
        listed = {
            "robots_meta": _names(value.get("robots_meta", []), lower=True),
            "robots_txt": _names(value.get("robots_txt", {}).get("disallowed", [])),
            "tdm_reservation": _names([str(value["tdm_reservation"])] if "tdm_reservation" in value else []),
            "x_robots_tag": _names(value.get("x_robots_tag", []), lower=True),
        }
    except (ValueError, TypeError, AttributeError, RecursionError):
        return _UNREADABLE
    return ";".join(f"{kind}={','.join(names)}" for kind, names in listed.items() if names) or None


def _names(value: Any, *, lower: bool = False) -> list[str]:  # noqa: ANN401 - any JSON
    """Different names, sorted, free of what separates them in the figure. Raises TypeError for anything but strings."""
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError("want a list of strings")
    names = {(name.lower() if lower else name).replace(": ", ":").strip().translate(_SEPARATORS) for name in value}
    return sorted(names - {""})


def _mapped(column: pa.Array, meaning: Callable[[str], str | None]) -> pa.Array:
    """A function of every value, called once per different value."""
    encoded = column.dictionary_encode()
    values = pa.array([meaning(value) for value in encoded.dictionary.to_pylist()], pa.string())
    return pc.take(values, encoded.indices)
