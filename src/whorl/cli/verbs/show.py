"""cli/verbs/show: one artifact or one run: what it is, what it was made from, what is in it."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from whorl.cli import reach
from whorl.cli.drawing import Column, duration, number, size, state, table
from whorl.cli.options import HERE, Project
from whorl.cli.report import report_tables
from whorl.cli.terminal import Terminal

if TYPE_CHECKING:
    from whorl.core.artifact import Artifact
    from whorl.flow.workspace import Workspace

__all__ = ["show"]

PANEL = "Look inside"

_FILES_SHOWN = 12

What = Annotated[str, typer.Argument(metavar="NAME", help="A name, name@version, fingerprint (6 digits or more) or run id.")]


def show(terminal: Terminal, what: What, *, project: Project = HERE) -> None:
    """Show one artifact (config, counts, parents, files; for a report its figures) or one run (stages, times, warnings).

    Examples:
      whorl show chat
      whorl show exam --json
      whorl show clean@2 --project demo
    """
    workspace = reach.opened_workspace(project)
    if what in workspace.runs():
        run = _run(workspace, what)
        terminal.answer(run, *_run_drawn(run))
        return
    artifact = workspace.find(what)
    report = _report(artifact)
    document = {**artifact.manifest, "path": str(artifact.path), "size_bytes": artifact.size_bytes}
    if report is not None:
        document["report"] = report
    figures = report_tables(report) if report else []
    terminal.answer(document, *_head(artifact), *figures, *_body(artifact, hides_counts=bool(figures)))


def _report(artifact: "Artifact") -> dict[str, Any] | None:
    path = artifact.path / "report.json"
    if artifact.kind != "report" or not path.is_file():
        return None
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def _head(artifact: "Artifact") -> list[RenderableType]:
    identity = artifact.manifest["identity"]
    about = Table.grid(padding=(0, 2, 0, 0))
    about.add_column(style="dim", no_wrap=True)
    about.add_column(overflow="fold")
    about.add_row("kind", artifact.kind)
    about.add_row("made by", f"{identity['stage']}, code version {identity['code_version']}")
    about.add_row("fingerprint", artifact.fingerprint)
    about.add_row("content", artifact.content)
    about.add_row("size", size(artifact.size_bytes))
    about.add_row("path", str(artifact.path))
    for page in sorted(artifact.path.glob("*.html")):
        about.add_row("page", str(page))
    return [about]


def _body(artifact: "Artifact", *, hides_counts: bool) -> list[RenderableType]:
    manifest = artifact.manifest
    drawn: list[RenderableType] = []
    if not hides_counts:
        drawn += _section("counts", {name: number(value) for name, value in artifact.counts.items()})
    config = {name: json.dumps(value) for name, value in manifest["identity"]["config"].items() if _is_setting(name, value)}
    drawn += _section("config", config)
    parents = {
        place: f"{parent['ref']}  {parent['kind']} {parent['fingerprint'][:12]}"
        for place, parent in manifest["parents"].items()
    }
    raw = {
        place.removeprefix("raw."): f"content {content[:12]}"
        for place, content in manifest["identity"]["inputs"].items()
        if place.startswith("raw.")
    }
    drawn += _section("made from", {**parents, **raw})
    return [*drawn, *_files(manifest["files"])]


def _is_setting(name: str, value: object) -> bool:
    """Not the stage's own name, and not a reference, which is listed under what it was made from."""
    return name != "use" and not _is_reference(value)


def _is_reference(value: object) -> bool:
    """Also a mapping of nothing but references."""
    return isinstance(value, dict) and bool(value) and (set(value) == {"part"} or all(_is_reference(v) for v in value.values()))


def _section(title: str, rows: Mapping[str, str]) -> list[RenderableType]:
    if not rows:
        return []
    drawn = table(title, Column("", is_flexible=True))
    for name, value in rows.items():
        drawn.add_row(name, value)
    return ["", drawn]


def _files(files: Mapping[str, Mapping[str, Any]]) -> list[RenderableType]:
    drawn = table("files", Column("size", "right"), "sha256")
    for name, entry in list(files.items())[:_FILES_SHOWN]:
        drawn.add_row(name, size(entry["bytes"]), entry["sha256"][:12])
    more = [Text(f"and {len(files) - _FILES_SHOWN} more; --json lists all", style="dim")] if len(files) > _FILES_SHOWN else []
    return ["", drawn, *more]


def _run(workspace: "Workspace", run: str) -> dict[str, Any]:
    folder = workspace.run_folder(run)
    path = folder / "events.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    ended: Mapping[str, Any] = next((event for event in events if event["kind"] == "run_ended"), {})
    return {
        "run": run,
        "path": str(folder),
        "page": next(map(str, folder.glob("*.html")), None),
        "state": ended.get("status", "no end recorded"),
        "message": ended.get("message", ""),
        "seconds": ended.get("seconds"),
        "about": json.loads((folder / "run.json").read_text()),
        "stages": [
            _stage_row(event) for event in events if event["kind"] in ("stage_cached", "stage_finished", "stage_failed")
        ],
        "warnings": [event["message"] for event in events if event["kind"] in ("warning", "source_drift")],
    }


def _stage_row(event: Mapping[str, Any]) -> dict[str, Any]:
    row = {"stage": event["stage"], "state": event["kind"].removeprefix("stage_")}
    kept = ("seconds", "predicted_s", "cpu_seconds", "memory_bytes", "disk_bytes", "counts", "fingerprint", "message")
    return {**row, **{name: event[name] for name in kept if name in event}}


def _run_drawn(run: Mapping[str, Any]) -> list[RenderableType]:
    about = run["about"]
    took = "" if run["seconds"] is None else f" in {duration(run['seconds'])}"
    head = Text.assemble((run["run"], "bold"), "  ", state(run["state"]), took, f"  {run['message']}" if run["message"] else "")
    machine = about["machine"]
    where = f"began {about['began']}  {machine['processor']}, {machine['cores']} cores  source {about['git']}"
    drawn = table("stage", "state", *(Column(title, "right") for title in ("took", "predicted", "memory", "disk")))
    for row in run["stages"]:
        cost = (
            [duration(row["seconds"]), duration(row.get("predicted_s")), size(row["memory_bytes"]), size(row["disk_bytes"])]
            if "seconds" in row
            else ["", "", "", ""]
        )
        drawn.add_row(row["stage"], state(row["state"]), *cost)
    warnings = [Text(f"warning: {message}", style="yellow") for message in run["warnings"]]
    page = [Text(f"page  {run['page']}")] if run["page"] else []
    return [head, Text(where, style="dim"), "", drawn, *page, *warnings]
