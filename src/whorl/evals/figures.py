"""evals/figures: what an exam finds out: figures with unit, number of cases and interval, grouped in sections.

A figure never stands alone: who it is about, how it was measured and what its interval covers go with it into the report.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from whorl.measure.intervals import Interval

__all__ = ["NOT_MEASURED", "Figure", "Section", "drawn"]

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Figure:
    """One measured value."""

    of: str  # the model's name in the exam, or the baseline's
    kind: Literal["model", "baseline"]
    value: float
    unit: str
    n: int  # cases behind the value, in `n_unit`
    n_unit: str
    interval: Interval | None = None  # 95 %; None: not measured
    how: str = ""  # what the figure is, where it differs from the section's definition

    def plain(self) -> dict[str, Any]:
        """JSON-ready; an absent interval says so."""
        return {
            "of": self.of,
            "kind": self.kind,
            "value": drawn(self.value),
            "unit": self.unit,
            "n": self.n,
            "n_unit": self.n_unit,
            "interval": [drawn(end) for end in self.interval] if self.interval else NOT_MEASURED,
            "how": self.how,
        }


@dataclass(frozen=True)
class Section:
    """What one suite found."""

    use: str
    title: str
    definition: str
    figures: tuple[Figure, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)  # part, sizes, settings

    def plain(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "use": self.use,
            "title": self.title,
            "definition": self.definition,
            "facts": dict(self.facts),
            "figures": [figure.plain() for figure in self.figures],
        }


def drawn(value: float) -> float:
    """Six digits after the point: below that, sums in another order differ between machines."""
    return round(value, 6)
