"""cli/verbs/data: look into a corpus: some documents, why one was dropped, what was dropped and why."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from whorl.cli import reach
from whorl.cli.drawing import Column, number, size, table
from whorl.cli.options import HERE, Project
from whorl.cli.terminal import Terminal

__all__ = ["peek", "stats", "why"]

PANEL = "Look inside"

_SHOWN_CHARS = 600

What = Annotated[str | None, typer.Argument(metavar="NAME", help="Which documents; without it, those made last.")]
DocId = Annotated[str, typer.Argument(metavar="DOC", help="The id of a document, kept or dropped.")]
Dropped = Annotated[str | None, typer.Option("--dropped", metavar="REASON", help="Dropped ones: a reason, a step, or 'any'.")]
Count = Annotated[int, typer.Option("-n", metavar="N", min=1, help="How many.")]
DrawSeed = Annotated[int, typer.Option("--seed", metavar="SEED", help="Another seed shows others.")]


def peek(
    terminal: Terminal, what: What = None, *, dropped: Dropped = None, n: Count = 5, seed: DrawSeed = 0, project: Project = HERE
) -> None:
    """Show some documents drawn at random: kept ones, or dropped ones with the reason.

    Examples:
      whorl data peek
      whorl data peek clean --dropped any -n 20
    """
    artifact = reach.found(reach.opened_workspace(project), "documents", what)
    rows = reach.ledger_rows("peek", artifact.path, dropped=dropped, n=n, seed=seed)
    terminal.answer(
        {"fingerprint": artifact.fingerprint, "documents": rows}, *(item for row in rows for item in _document(row))
    )


def why(terminal: Terminal, doc_id: DocId, what: What = None, *, project: Project = HERE) -> None:
    """Say what happened to one document: kept or dropped, by which step, for which reason, and its statistics.

    Examples:
      whorl data why python_docs:json
    """
    artifact = reach.found(reach.opened_workspace(project), "documents", what)
    rows = reach.ledger_rows("why", artifact.path, doc_id=doc_id)
    terminal.answer({"fingerprint": artifact.fingerprint, "rows": rows}, *(item for row in rows for item in _verdict(row)))


def stats(terminal: Terminal, what: What = None, *, project: Project = HERE) -> None:
    """Count what came in, what was kept by part, what was dropped by reason, and how the kept documents are.

    Examples:
      whorl data stats
      whorl data stats clean --json
    """
    artifact = reach.found(reach.opened_workspace(project), "documents", what)
    found: Mapping[str, Any] = reach.ledger_rows("stats", artifact.path)
    terminal.answer({"fingerprint": artifact.fingerprint, **found}, *_stats_drawn(found))


def _document(row: Mapping[str, Any]) -> list[RenderableType]:
    text = str(row.get("text") or row.get("text_start") or "")
    head = Text.assemble((str(row["id"]), "bold"), f"  {row['source']}", f"  {_reason(row)}" if "reason" in row else "")
    more = f" ... ({len(text):,} characters)" if len(text) > _SHOWN_CHARS else ""
    return [head, f"{text[:_SHOWN_CHARS]}{more}", ""]


def _verdict(row: Mapping[str, Any]) -> list[RenderableType]:
    said = ("kept", "green") if row["kept"] else (f"dropped by {_reason(row)}", "red")
    rest = {name: value for name, value in row.items() if name not in ("id", "kept", "step", "reason", "detail", "text_start")}
    grid = Table.grid(padding=(0, 2, 0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rest.items():
        grid.add_row(name, number(value))
    start = [Text(f"  {row['text_start']}", style="dim")] if row.get("text_start") else []
    return [Text.assemble((str(row["id"]), "bold"), "  ", said), grid, *start]


def _reason(row: Mapping[str, Any]) -> str:
    detail = f" ({row['detail']})" if row.get("detail") else ""
    return f"{row.get('step', '')}: {row.get('reason', '')}{detail}"


def _stats_drawn(found: Mapping[str, Any]) -> list[RenderableType]:
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
