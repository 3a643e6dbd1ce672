"""cli/verbs/demo: from raw text to an examined model you can talk to, in one command, on this machine."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from whorl.cli import reach
from whorl.cli.drawing import Column, duration, table
from whorl.cli.project import start_project
from whorl.cli.report import report_tables
from whorl.cli.target import Target, next_commands
from whorl.cli.terminal import Terminal

if TYPE_CHECKING:
    from whorl.flow.run import Outcome

__all__ = ["demo"]

PANEL = "Begin"

Into = Annotated[Path, typer.Option("--into", metavar="DIR", help="Where the project goes.")]


def demo(terminal: Terminal, *, into: Into = Path("demo")) -> int:
    """Read Python's own documentation, train a small model on it, tune it, examine it: a few minutes on a laptop.

    What it leaves is an ordinary project: change recipe.yaml and run again, and only what depends on the change is made anew.
    The same command a second time finds everything done.

    Examples:
      whorl demo
      whorl demo --into pocket --offline
    """
    started = start_project(into, "demo")
    if started.is_own_recipe:
        terminal.remark(f"{into / 'recipe.yaml'} differs from the demo's and is kept: this runs yours", style="yellow")
    elif started.written:
        terminal.say(f"wrote {', '.join(started.written)} in {into.resolve()}", "")
    meant = Target(into, ())
    outcome = reach.bring_up_to_date(terminal, meant, reach.run_options()())
    if outcome is None:
        return 1
    report = _report(outcome)
    if terminal.is_json:
        seconds = {grade.stage: grade.actual_s for grade in outcome.grades}
        made = {name: artifact.fingerprint for name, artifact in outcome.artifacts.items()}
        terminal.line(
            {"outcome": "finished", "seconds": outcome.seconds, "stages": seconds, "artifacts": made, "report": report}
        )
        return 0
    times = _times(outcome) if outcome.made else Text("everything was up to date", style="bold green")
    terminal.say("", times, *(report_tables(report) if report else []), *_overlap(outcome))
    terminal.say("", "try next:", *(f"  {command}" for command in next_commands(into, outcome.artifacts)))
    return 0


def _report(outcome: "Outcome") -> dict[str, Any] | None:
    """The figures of the last report of the river; None for a recipe without one."""
    reports = [artifact for artifact in outcome.artifacts.values() if artifact.kind == "report"]
    if not reports:
        return None
    report: dict[str, Any] = json.loads((reports[-1].path / "report.json").read_text(encoding="utf-8"))
    return report


def _overlap(outcome: "Outcome") -> list[str]:
    """How much of the examined text the models have read, which every figure above rests on."""
    longest, share = "exam.longest_ngram_in_train", "exam.share_of_13grams_in_train"
    return [
        f"\nlargest overlap of {name}'s exam part with its training part: {artifact.counts[longest]} words in a row; "
        f"{artifact.counts[share]:.1%} of its 13-grams"
        for name, artifact in outcome.artifacts.items()
        if longest in artifact.counts
    ]


def _times(outcome: "Outcome") -> Table:
    drawn = table("stage", Column("took", "right"))
    took = {grade.stage: duration(grade.actual_s) for grade in outcome.grades}
    for name in outcome.artifacts:
        drawn.add_row(name, took.get(name, "cached"))
    drawn.add_row(Text("in all", style="bold"), Text(duration(outcome.seconds), style="bold"))
    return drawn
