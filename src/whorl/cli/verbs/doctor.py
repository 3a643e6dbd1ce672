"""cli/verbs/doctor: look at this machine and this workspace, and say what to do about what is wrong."""

from rich.text import Text

from whorl.cli import reach
from whorl.cli.drawing import Column, state, table
from whorl.cli.options import HERE, Project, Trust
from whorl.cli.terminal import Terminal

__all__ = ["doctor"]

PANEL = "Begin"


def doctor(terminal: Terminal, *, trust: Trust = None, project: Project = HERE) -> int:
    """Check Python, torch, precision, cores, memory and disk, then the workspace: events, leases, unfinished work, recipe.

    Changes nothing. Exit code 1 when something is broken, 0 when there are only warnings.

    Examples:
      whorl doctor
      whorl doctor --project demo --json
    """
    found = reach.findings(project, trust or ())
    broken = [finding for finding in found if finding.state == "fail"]
    drawn = table("looked at", "", Column("found", is_flexible=True))
    for finding in found:
        fix = Text(f"\n{finding.fix}", style="bold") if finding.fix else ""
        drawn.add_row(finding.what, state(finding.state), Text.assemble(finding.says, fix))
    warned = sum(finding.state == "warn" for finding in found)
    total = Text(f"{len(broken)} broken, {warned} warnings" if broken or warned else "all well", style="bold")
    terminal.answer({"findings": [finding._asdict() for finding in found]}, drawn, "", total)
    return 1 if broken else 0
