"""cli/verbs/verify: recompute every hash."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from whorl.cli import reach
from whorl.cli.drawing import size
from whorl.cli.options import HERE, Project
from whorl.cli.progress import Doing, gauge
from whorl.cli.terminal import Terminal

if TYPE_CHECKING:
    from whorl.core.artifact import Artifact

__all__ = ["verify"]

PANEL = "Keep house"

What = Annotated[str | None, typer.Argument(metavar="NAME", help="One artifact; without it, all of them and all names.")]


def verify(terminal: Terminal, what: What = None, *, project: Project = HERE) -> int:
    """Recompute the hash of every file and check that each artifact was made from what it says. Exit code 1 when one was not.

    Examples:
      whorl verify
      whorl verify chat --json
    """
    workspace = reach.opened_workspace(project)
    artifacts = [workspace.find(what)] if what else list(workspace.store.all())
    total = sum(artifact.size_bytes for artifact in artifacts)
    doing = Doing("verify")
    done = 0

    def tell(artifact: "Artifact") -> None:
        nonlocal done
        doing.note({"step": done // 10**6, "total": max(1, total // 10**6), "unit": "MB", "at": artifact.kind})
        done += artifact.size_bytes

    shown = gauge(terminal)
    shown.begin(doing)
    try:
        faults = reach.faults(workspace, what, tell)
    finally:
        shown.end()
    document = {"checked": len(artifacts), "size_bytes": total, "faults": [fault._asdict() for fault in faults]}
    head = Text(
        f"{len(artifacts)} artifacts, {size(total)}: {_verdict(len(faults))}", style="bold red" if faults else "bold green"
    )
    terminal.answer(document, head, *(f"  {fault.artifact}: {fault.what}" for fault in faults))
    return 1 if faults else 0


def _verdict(num_faults: int) -> str:
    return f"{num_faults} fault{'s' if num_faults > 1 else ''}" if num_faults else "all as it should be"
