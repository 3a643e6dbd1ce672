"""evals/page: a report as one web page: self-contained, no script, no network, readable in the light and in the dark.

Draws what report.json holds and computes nothing new. The page is no part of the artifact's content.
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined

from whorl.evals.figures import NOT_MEASURED

__all__ = ["page"]


class Bar(NamedTuple):
    """Where a figure is drawn, in hundredths of the scale."""

    length: float
    low: float | None  # interval; None: not measured
    high: float | None


def page(report: Mapping[str, Any], *, order: Sequence[str]) -> str:
    """The page of a report (the content of report.json), models in this order; the last one stands out."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(bar=_bar, percent=_percent, ends=_ends, number=_number)
    text = files("whorl.evals").joinpath("report_page.html.jinja").read_text(encoding="utf-8")
    rows = [result for skill in report["skills"] for result in skill["results"]]
    return environment.from_string(text).render(
        report=_ordered(report, order),
        last=order[-1],
        num_learnt={model["name"]: _num_learnt(rows, model["name"]) for model in report["models"]},
        scales=[max([8.0, *(figure["value"] for figure in suite["figures"])]) for suite in report["suites"]],
    )


def _ordered(report: Mapping[str, Any], order: Sequence[str]) -> dict[str, Any]:
    """The same report with the models of every list in this order, baselines behind them."""
    place = {name: number for number, name in enumerate(order)}
    models = sorted(report["models"], key=lambda model: place[model["name"]])
    suites = [
        suite | {"figures": sorted(suite["figures"], key=lambda figure: place.get(figure["of"], len(order)))}
        for suite in report["suites"]
    ]
    skills = [
        skill | {"results": sorted(skill["results"], key=lambda result: place[result["of"]])} for skill in report["skills"]
    ]
    return {**report, "models": models, "suites": suites, "skills": skills}


def _num_learnt(rows: list[Mapping[str, Any]], name: str) -> int:
    return sum(row["is_learnt"] for row in rows if row["of"] == name)


def _bar(figure: Mapping[str, Any], scale: float = 1.0) -> Bar:
    ends = figure["interval"]
    low, high = (None, None) if ends == NOT_MEASURED else (100 * end / scale for end in ends)
    return Bar(100 * figure["value"] / scale, low, high)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _ends(ends: object, scale: float = 1.0, digits: int = 3) -> str:
    if not isinstance(ends, list):
        return str(ends)
    return " to ".join(f"{scale * end:.{digits}f}" for end in ends)


def _number(value: int) -> str:
    return f"{value:,}"
