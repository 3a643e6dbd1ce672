"""corpus/rights: evidence of what a publisher allows, as a document's `rights` column holds it.

Gathers, does not judge: which evidence keeps a page out of a corpus is a filter's decision. A key is there only when there is
evidence: `robots_meta` and `x_robots_tag` (lists of directives, lower case; one for a single agent begins with its name),
`tdm_reservation` (`0` or `1`) and `tdm_policy` (an address) as in https://www.w3.org/community/reports/tdmrep/, and
`robots_txt` with `disallowed`: the AI agents that the site's robots.txt keeps from the page, none if it keeps out nobody.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

__all__ = ["Rights"]

_VALUED = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")  # directives with a colon of their own


@dataclass(frozen=True)
class Rights:
    """Evidence about one page; None and the empty tuple mean that nothing was said."""

    robots_meta: tuple[str, ...] = ()
    x_robots_tag: tuple[str, ...] = ()
    tdm_reservation: str | None = None
    tdm_policy: str | None = None
    disallowed: tuple[str, ...] | None = None  # by robots.txt; None: not seen

    @classmethod
    def of_page(cls, directives: Iterable[str]) -> Self:
        """What a page says of itself: directives of its meta elements, as an extractor gives them."""
        named = [(word, *_parted(word)) for word in directives]
        return cls(
            robots_meta=tuple(word for word, name, _ in named if name not in ("tdm-reservation", "tdm-policy")),
            tdm_reservation=_reservation([value for _, name, value in named if name == "tdm-reservation"]),
            tdm_policy=next((value for _, name, value in named if name == "tdm-policy" and value), None),
        )

    def with_headers(self, headers: Sequence[tuple[str, str]]) -> Self:
        """What the HTTP headers of the page say added; on text and data mining the page itself comes first."""
        tags = [word for name, value in headers if name.lower() == "x-robots-tag" for word in _directives(value)]
        reserved = _reservation([value for name, value in headers if name.lower() == "tdm-reservation"])
        policy = next((value.strip() for name, value in headers if name.lower() == "tdm-policy" and value.strip()), None)
        return replace(
            self,
            x_robots_tag=(*self.x_robots_tag, *dict.fromkeys(tags)),
            tdm_reservation=self.tdm_reservation or reserved,
            tdm_policy=self.tdm_policy or policy,
        )

    def with_robots_txt(self, disallowed: Sequence[str]) -> Self:
        """What the site's robots.txt says of this page added."""
        return replace(self, disallowed=tuple(disallowed))

    def to_json(self) -> str | None:
        """The `rights` of a document, or None where there is no evidence at all."""
        said: dict[str, Any] = {
            "robots_meta": list(self.robots_meta),
            "x_robots_tag": list(self.x_robots_tag),
            "tdm_reservation": self.tdm_reservation,
            "tdm_policy": self.tdm_policy,
        }
        found = {key: value for key, value in said.items() if value}
        if self.disallowed is not None:
            found["robots_txt"] = {"disallowed": list(self.disallowed)}
        return json.dumps(found, sort_keys=True) if found else None


def _parted(directive: str) -> tuple[str, str]:
    name, _, value = directive.partition(":")
    return name.strip().lower(), value.strip()


def _reservation(values: Iterable[str]) -> str | None:
    """`1` if any value says so, else `0` if any says that; anything else is no evidence."""
    said = {value.strip() for value in values} & {"0", "1"}
    return max(said) if said else None


def _directives(value: str) -> list[str]:
    """Directives of one X-Robots-Tag header. `gptbot: noindex, nofollow` is about gptbot to its end."""
    agent, colon, rest = value.partition(":")
    is_named = bool(colon) and "," not in agent and agent.strip().lower() not in _VALUED
    words = (word.strip().lower() for word in (rest if is_named else value).split(","))
    return [f"{agent.strip().lower()}: {word}" if is_named else word for word in words if word]
