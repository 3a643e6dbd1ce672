"""cli/verbs/ls: list what a workspace holds."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from whorl.cli import reach
from whorl.cli.drawing import Column, duration, size, state, table
from whorl.cli.options import HERE, Project
from whorl.cli.terminal import Terminal

if TYPE_CHECKING:
    from whorl.flow.workspace import Workspace

__all__ = ["ls"]

PANEL = "Look inside"

_RUNS_SHOWN = 10

EveryVersion = Annotated[bool, typer.Option("--all", "-a", metavar="", help="Every version of every name, and every run.")]


def ls(terminal: Terminal, *, is_all: EveryVersion = False, project: Project = HERE) -> None:
    """List names with their versions, kinds and sizes, and the last runs with how they ended.

    Examples:
      whorl ls
      whorl ls --all --json
      whorl ls --project demo
    """
    workspace = reach.opened_workspace(project)
    names = _names(workspace, is_all=is_all)
    runs = _runs(workspace)[-_RUNS_SHOWN if not is_all else 0 :]
    document = {"project": str(workspace.root), "names": names, "runs": runs}
    if not names and not runs:
        terminal.answer(document, f"nothing in {workspace.root} yet; begin with: whorl init --template demo, or whorl demo")
        return
    terminal.answer(document, _names_table(names), "", _runs_table(runs))


def _names(workspace: "Workspace", *, is_all: bool) -> list[dict[str, Any]]:
    newest = {named.name: named for named in workspace.names()}
    rows = []
    for named in workspace.names() if is_all else newest.values():
        artifact = workspace.store.find(named.kind, named.fingerprint)
        rows.append(
            {
                "name": named.address,
                "kind": named.kind,
                "fingerprint": named.fingerprint,
                "stage": artifact.manifest["identity"]["stage"] if artifact else None,
                "size_bytes": artifact.size_bytes if artifact else None,
                "is_present": artifact is not None,
            }
        )
    return rows


def _runs(workspace: "Workspace") -> list[dict[str, Any]]:
    return [{"run": run, **_ending(workspace, run)} for run in workspace.runs()]


def _ending(workspace: "Workspace", run: str) -> dict[str, Any]:
    """How a run ended, from its own file; one that says nothing is still running, or was killed."""
    path = workspace.run_folder(run) / "events.jsonl"
    events: list[Mapping[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    made = [event["stage"] for event in events if event["kind"] == "stage_finished"]
    last = events[-1] if events and events[-1]["kind"] == "run_ended" else {}
    return {"state": last.get("status", "no end recorded"), "seconds": last.get("seconds"), "made": made}


def _names_table(names: list[dict[str, Any]]) -> Table:
    drawn = table("name", "kind", Column("size", "right"), "fingerprint", Column("made by", is_flexible=True))
    for row in names:
        made_by = row["stage"] or "gone from the store; a run makes it again"
        drawn.add_row(
            row["name"], row["kind"], size(row["size_bytes"]) if row["stage"] else "", row["fingerprint"][:12], made_by
        )
    return drawn


def _runs_table(runs: list[dict[str, Any]]) -> Table:
    drawn = table("run", "state", Column("took", "right"), Column("made", is_flexible=True))
    for row in runs:
        took = "" if row["seconds"] is None else duration(row["seconds"])
        drawn.add_row(row["run"], state(row["state"]), took, ", ".join(row["made"]) or "nothing")
    return drawn
