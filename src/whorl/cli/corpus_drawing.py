"""cli/corpus_drawing: what a ledger says, drawn for the terminal: documents, verdicts, counts and changes. Decides nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from whorl.cli.drawing import Column, number, size, table

__all__ = ["changes_drawn", "document", "stats_drawn", "verdict", "whatif_drawn"]

_SHOWN_CHARS = 600
_HIDDEN = ("id", "kept", "step", "reason", "detail", "text_start")


def document(row: Mapping[str, Any]) -> list[RenderableType]:
    """A document or its beginning, and why it was dropped."""
    text = str(row.get("text") or row.get("text_start") or "")
    head = Text.assemble((str(row["id"]), "bold"), f"  {row['source']}", f"  {_reason(row)}" if "reason" in row else "")
    more = f" ... ({len(text):,} characters)" if len(text) > _SHOWN_CHARS else ""
    return [head, f"{text[:_SHOWN_CHARS]}{more}", ""]


def verdict(row: Mapping[str, Any]) -> list[RenderableType]:
    """One ledger row: kept or dropped, the reason, the figures."""
    said = ("kept", "green") if row["kept"] else (f"dropped by {_reason(row)}", "red")
    rest = {name: value for name, value in row.items() if name not in _HIDDEN and value != []}
    grid = Table.grid(padding=(0, 2, 0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rest.items():
        grid.add_row(name, ", ".join(map(str, value)) if isinstance(value, list) else number(value))
    start = [Text(f"  {row['text_start']}", style="dim")] if row.get("text_start") else []
    return [Text.assemble((str(row["id"]), "bold"), "  ", said), grid, *start]


def _reason(row: Mapping[str, Any]) -> str:
    detail = f" ({row['detail']})" if row.get("detail") else ""
    return f"{row.get('step', '')}: {row.get('reason', '')}{detail}"


def stats_drawn(found: Mapping[str, Any]) -> list[RenderableType]:
    """What came in, what stayed, what went and why, and how the kept documents are."""
    dropped = found["documents_in"] - found["documents"]
    parts = table("part", Column("documents", "right"), Column("size", "right"))
    for part, row in found["parts"].items():
        parts.add_row(part, number(row["documents"]), size(row["bytes"]))
    reasons = table(Column("dropped because", is_flexible=True), Column("documents", "right"))
    for reason, count in found["dropped"].items():
        reasons.add_row(reason, number(count))
    quantiles = table("per kept document", *(Column(title, "right") for title in ("5 %", "median", "95 %")))
    for name, row in found["statistics"].items():
        if row:
            quantiles.add_row(name.removeprefix("num_").replace("_", " "), *(number(row[key]) for key in ("p5", "p50", "p95")))
    head = Text(
        f"{number(found['documents_in'])} in = {number(found['documents'])} kept + {number(dropped)} dropped", style="bold"
    )
    drawn: list[RenderableType] = [head, "", parts, "", reasons, "", quantiles]
    return drawn if found["dropped"] else [*drawn[:3], *drawn[5:]]


def changes_drawn(found: Mapping[str, Any]) -> list[RenderableType]:
    """What `corpus_diff` found."""
    before, after = found["documents"]["before"], found["documents"]["after"]
    head = f"{number(before)} documents before, {number(after)} after; {number(found['unchanged'])} are the same in both"
    changes = table("change", Column("documents", "right"), Column("for example", is_flexible=True))
    for name, count in found["changes"].items():
        changes.add_row(name.replace("_", " "), number(count), ", ".join(found["examples"].get(name, [])))
    drawn: list[RenderableType] = [Text(head, style="bold"), "", changes]
    for name in ("newly_dropped_by", "newly_kept_despite"):
        if found[name]:
            drawn += ["", _tally(name.replace("_", " "), found[name])]
    return drawn


def whatif_drawn(found: Mapping[str, Any]) -> list[RenderableType]:
    """What `corpus_whatif` found."""
    passed = found["passed_filters"]
    head = f"{number(passed['before'])} documents passed the filters; {number(passed['after'])} would"
    rules = table(Column("dropped because", is_flexible=True), Column("before", "right"), Column("after", "right"))
    before, after = found["dropped"]["before"], found["dropped"]["after"]
    for reason in dict.fromkeys([*before, *after]):
        rules.add_row(reason, number(before.get(reason, 0)), number(after.get(reason, 0)))
    moved = [f"{name.replace('_', ' ')}: {number(found[name])}{_named(found['examples'][name])}" for name in found["examples"]]
    return [Text(head, style="bold"), "", rules, "", *moved, Text("Copies are not decided again.", style="dim")]


def _named(ids: Sequence[str]) -> str:
    return f", e.g. {', '.join(ids)}" if ids else ""


def _tally(title: str, counts: Mapping[str, int]) -> Table:
    drawn = table(Column(title, is_flexible=True), Column("documents", "right"))
    for reason, count in counts.items():
        drawn.add_row(reason, number(count))
    return drawn
