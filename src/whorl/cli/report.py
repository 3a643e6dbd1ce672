"""cli/report: the figures of an exam's report.json as tables: skills before and after, suites, and some answers.

Draws what the report holds and computes nothing new; every share keeps its interval and the best constant answer beside it.
"""

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from whorl.cli.drawing import Column, table

__all__ = ["answers_table", "report_tables"]

_ANSWER_CHARS = 60


def report_tables(report: Mapping[str, Any]) -> list[RenderableType]:
    """Everything a person asks first of a report; nothing for a report of another shape."""
    drawn: list[RenderableType] = []
    for suite in report.get("suites", []):
        drawn += ["", _suite_table(suite)]
    if report.get("skills"):
        drawn += ["", _skills_table(report["skills"])]
        drawn += ["", answers_table(report["skills"])]
    return drawn


def _suite_table(suite: Mapping[str, Any]) -> Table:
    unit = suite["figures"][0]["unit"] if suite["figures"] else ""
    drawn = table(suite["title"], Column(unit, "right"), Column("95 % interval", "right"), Column("n", "right"))
    for figure in suite["figures"]:
        style = "bold" if figure["kind"] == "model" else ""
        drawn.add_row(
            Text(figure["of"], style=style),
            f"{figure['value']:.3f}",
            _ends(figure["interval"], 1.0, 3),
            f"{figure['n']:,} {figure['n_unit']}",
        )
    return drawn


def _skills_table(skills: list[Mapping[str, Any]]) -> Table:
    """Percent by model, before and after side by side; interval and verdict are the last one's."""
    models = [result["of"] for result in skills[0]["results"]]
    figures = [Column(title, "right") for title in (*models, "95 %", "constant", "n")]
    drawn = table(Column("% of answers right", is_flexible=True), *figures, "")
    for skill in skills:
        last = skill["results"][-1]
        shares = [Text(f"{100 * result['value']:.1f}", style=_learnt_style(result)) for result in skill["results"]]
        title = f"{skill['title']} (recall)" if skill.get("is_recall") else skill["title"]
        constant = f"{100 * skill['majority']['value']:.1f}"
        verdict = Text("learnt", style="green") if last["is_learnt"] else Text("not learnt", style="red")
        drawn.add_row(title, *shares, _ends(last["interval"], 100.0, 1), constant, f"{skill['n']:,}", verdict)
    return drawn


def answers_table(skills: list[Mapping[str, Any]]) -> Table:
    """One right and one wrong answer of the last model for every skill, as it gave them."""
    drawn = table(
        Column("asked", is_flexible=True), Column("answered", is_flexible=True), Column("wanted", is_flexible=True), ""
    )
    for skill in skills:
        result = skill["results"][-1]
        for kind, style in (("right", "green"), ("wrong", "red")):
            for sample in result[kind][:1]:
                drawn.add_row(_cut(sample["asked"]), _cut(sample["answered"]), _cut(sample["wanted"]), Text(kind, style=style))
    return drawn


def _learnt_style(result: Mapping[str, Any]) -> str:
    return "bold green" if result.get("is_learnt") else ""


def _ends(interval: object, scale: float, digits: int) -> str:
    if not isinstance(interval, list):
        return str(interval)
    return " to ".join(f"{scale * end:.{digits}f}" for end in interval)


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _ANSWER_CHARS else f"{line[: _ANSWER_CHARS - 3]}..."
