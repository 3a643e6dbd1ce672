"""cli/verbs/gc: free what nothing needs any more."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from whorl.cli import reach
from whorl.cli.drawing import Column, size, table
from whorl.cli.options import HERE, Project
from whorl.cli.terminal import Terminal
from whorl.core.errors import UsageError

if TYPE_CHECKING:
    from whorl.flow.sweep import Sweep

__all__ = ["gc"]

PANEL = "Keep house"

PlanOnly = Annotated[bool, typer.Option("--plan", metavar="", help="Only say what would go (the default).")]
Apply = Annotated[bool, typer.Option("--apply", metavar="", help="Delete it, after asking.")]
Sure = Annotated[bool, typer.Option("--yes", "-y", metavar="", help="Do not ask.")]


def gc(
    terminal: Terminal,
    *,
    is_plan: PlanOnly = False,
    is_apply: Apply = False,
    is_sure: Sure = False,
    project: Project = HERE,
) -> None:
    """Say what could be deleted and what could not be made again afterwards; with --apply, delete it.

    Kept are the newest version of every name and all it was made from. What goes: older versions, unnamed artifacts, unfinished
    folders that nobody writes, and the shard cache.

    Examples:
      whorl gc
      whorl gc --apply --yes
    """
    if is_plan and is_apply:
        raise UsageError("--plan and --apply: want one of the two")
    found = reach.sweep_plan(reach.opened_workspace(project))
    if is_apply and terminal.is_json and not is_sure:
        raise UsageError("--apply with --json cannot ask; add --yes")
    if not terminal.is_json:
        terminal.say(*_drawn(found))
    if is_apply and found.swept:
        if not is_sure:
            typer.confirm("Delete all of this?", abort=True, err=True)
        reach.sweep_away(found)
        terminal.say(f"freed {size(found.size_bytes)}")
    if terminal.is_json:
        swept = [item.to_json() for item in found.swept]
        terminal.line({"is_applied": is_apply, "size_bytes": found.size_bytes, "swept": swept})


def _drawn(found: "Sweep") -> list[RenderableType]:
    return [_table(found), "", _total(found)] if found.swept else [_total(found)]


def _table(found: "Sweep") -> Table:
    drawn = table("what", Column("size", "right"), "names", Column("cannot be made again, because", is_flexible=True))
    for item in found.swept:
        drawn.add_row(item.what, size(item.size_bytes), ", ".join(item.names), Text(item.why_unrebuildable, style="yellow"))
    return drawn


def _total(found: "Sweep") -> Text:
    if not found.swept:
        return Text("nothing to free", style="bold")
    lost = sum(bool(item.why_unrebuildable) for item in found.swept)
    warned = f", {lost} of them not to be made again by a run alone" if lost else ""
    things = "1 thing" if len(found.swept) == 1 else f"{len(found.swept)} things"
    return Text(f"{things}, {size(found.size_bytes)}{warned}", style="bold")
