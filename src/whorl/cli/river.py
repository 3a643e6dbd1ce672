"""cli/river: carry out a recipe for a person: progress, Ctrl-C that saves, and at the end what was made and what to try next.

Shared by the verbs that run recipes; imports flow, so it is loaded only then. Decides nothing that changes what comes out.
"""

import shlex
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from whorl.cli.drawing import Column, duration, size, table
from whorl.cli.progress import narrator
from whorl.cli.target import Target, next_commands
from whorl.cli.terminal import Terminal
from whorl.core.artifact import Artifact
from whorl.core.errors import WhorlError
from whorl.core.stage import Stopped, StopSignal
from whorl.flow.estimate import Grade
from whorl.flow.recipe import Recipe, load_recipe
from whorl.flow.run import Outcome, RunOptions, run_recipe
from whorl.flow.run_page import PAGE_FILE
from whorl.flow.workspace import Workspace

__all__ = ["bring_up_to_date", "tell_outcome"]


def bring_up_to_date(terminal: Terminal, target: Target, options: RunOptions) -> Outcome | None:
    """Run a recipe, telling how it goes; None when the user stopped it, which is told too. Raises the errors of the house."""
    recipe = load_recipe(target.recipe, target.overrides, trust=options.trust)
    workspace = Workspace(target.project.resolve())
    with narrator(terminal, _needed(recipe, options)) as tell, _asked_to_stop(terminal, options.stop):
        try:
            return run_recipe(recipe, workspace, replace(options, on_event=tell))
        except Stopped as stopped:
            message = f"stopped: {stopped}"
        except KeyboardInterrupt:
            message = "ended at once; what had been saved is kept"
        except WhorlError as error:
            if not options.stop.is_set():
                raise
            message = f"stopped: {error}"  # the stage was still starting up; what it had saved is kept
    _tell_stopped(terminal, message, _go_on_command(target, options))
    return None


def _tell_stopped(terminal: Terminal, message: str, go_on: str) -> None:
    terminal.answer({"outcome": "stopped", "message": message, "go_on": go_on}, Text(message, "yellow"), f"go on with: {go_on}")


def tell_outcome(terminal: Terminal, target: Target, outcome: Outcome) -> None:
    """What was made, how good the prediction was, and what to try next; with --json the last line of the run."""
    if terminal.is_json:
        terminal.line(_outcome_document(outcome))
        return
    num_cached = len(outcome.artifacts) - len(outcome.made)
    done = f"{len(outcome.made)} made, {num_cached} cached" if outcome.made else "everything was up to date"
    terminal.say("", Text(f"finished in {duration(outcome.seconds)}: {done}", style="bold"))
    if any(grade.predicted_s is not None for grade in outcome.grades):
        terminal.say("", _grades_table(outcome.grades))
    terminal.say("", _artifacts_table(target, outcome))
    terminal.say("", f"report: {_page(target, outcome)}")
    terminal.say("", "try next:", *(f"  {command}" for command in next_commands(target.project, outcome.artifacts)))


def _page(target: Target, outcome: Outcome) -> Path:
    """Where the run's page is, as short as it can be said from here."""
    page = Workspace(target.project.resolve()).run_folder(outcome.run) / PAGE_FILE
    return page.relative_to(Path.cwd()) if page.is_relative_to(Path.cwd()) else page


def _outcome_document(outcome: Outcome) -> dict[str, Any]:
    return {
        "outcome": "finished",
        "run": outcome.run,
        "seconds": outcome.seconds,
        "made": list(outcome.made),
        "artifacts": {name: _artifact_document(artifact) for name, artifact in outcome.artifacts.items()},
        "grades": [{**grade._asdict(), "error": grade.error} for grade in outcome.grades],
    }


def _grades_table(grades: list[Grade]) -> Table:
    """Predicted beside actual."""
    drawn = table("stage", Column("predicted", "right"), Column("took", "right"), Column("error", "right"))
    for grade in grades:
        error = "" if grade.error is None else f"{100 * grade.error:+.0f} %"
        drawn.add_row(grade.stage, duration(grade.predicted_s), duration(grade.actual_s), error)
    return drawn


def _artifacts_table(target: Target, outcome: Outcome) -> Table:
    """Name, kind, size and address of everything the run stands on."""
    workspace = Workspace(target.project.resolve())
    drawn = table("name", "kind", Column("size", "right"), "fingerprint")
    for name, artifact in outcome.artifacts.items():
        named = workspace.latest(name)
        drawn.add_row(named.address if named else name, artifact.kind, size(artifact.size_bytes), artifact.fingerprint[:12])
    return drawn


def _go_on_command(target: Target, options: RunOptions) -> str:
    """The command that goes on with a stopped run."""
    words = ["whorl", "run"]
    words += [] if str(target.recipe) == "." else [str(target.recipe)]
    words += target.overrides
    words += ["--from", options.first] if options.first else []
    words += ["--to", options.last] if options.last else []
    words += [word for package in options.trust for word in ("--trust", package)]
    return shlex.join(words)


def _artifact_document(artifact: Artifact) -> Mapping[str, Any]:
    return {
        "kind": artifact.kind,
        "fingerprint": artifact.fingerprint,
        "path": str(artifact.path),
        "counts": dict(artifact.counts),
    }


def _needed(recipe: Recipe, options: RunOptions) -> list[str]:
    selected = recipe.selected(first=options.first, last=options.last)
    needed = set().union(*(recipe.ancestors(name) for name in selected))
    return [name for name in recipe.order() if name in needed]


@contextmanager
def _asked_to_stop(terminal: Terminal, stop: StopSignal) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) asks the stage to save and stop, the second ends it."""

    def ask(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.flag.set()
        said = "stopping: the stage saves its work first (Ctrl-C again: end it at once)"
        if terminal.is_json or not terminal.out.is_terminal:
            terminal.remark(said)
        else:
            terminal.say(Text(said, style="yellow"))  # through the console that draws the live line

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
