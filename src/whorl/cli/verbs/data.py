"""cli/verbs/data: look into a corpus: some documents, why one was dropped, what training read when."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.text import Text

from whorl.cli import reach
from whorl.cli.corpus_drawing import changes_drawn, document, stats_drawn, verdict, whatif_drawn
from whorl.cli.options import HERE, Project, Trust
from whorl.cli.terminal import Terminal
from whorl.core.errors import UsageError

__all__ = ["diff", "peek", "read", "stats", "whatif", "why"]

PANEL = "Look inside"

What = Annotated[str | None, typer.Argument(metavar="NAME", help="Which documents; without it, those made last.")]
DocId = Annotated[str, typer.Argument(metavar="DOC", help="The id of a document, kept or dropped.")]
Dropped = Annotated[str | None, typer.Option("--dropped", metavar="REASON", help="Dropped ones: a reason, a step, or 'any'.")]
Count = Annotated[int, typer.Option("-n", metavar="N", min=1, help="How many.")]
Before = Annotated[str, typer.Argument(metavar="BEFORE", help="A corpus, e.g. clean@1.")]
After = Annotated[str, typer.Argument(metavar="AFTER", help="Another one.")]
CleanedName = Annotated[str, typer.Argument(metavar="NAME", help="Documents made by corpus.refine.")]
Changes = Annotated[list[str], typer.Argument(metavar="FILTER.THRESHOLD=VALUE", help="Thresholds to change.")]
Trained = Annotated[
    str | None, typer.Argument(metavar="CHECKPOINT", help="What was trained; without it, what was trained last.")
]
AtStep = Annotated[int | None, typer.Option("--step", metavar="N", help="Which documents were in this step, counted from 1.")]
ByDoc = Annotated[str | None, typer.Option("--doc", metavar="DOC", help="Which steps read this document.")]
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
    terminal.answer({"fingerprint": artifact.fingerprint, "documents": rows}, *(item for row in rows for item in document(row)))


def read(
    terminal: Terminal,
    what: Trained = None,
    *,
    step: AtStep = None,
    doc: ByDoc = None,
    trust: Trust = None,
    project: Project = HERE,
) -> None:
    """Say which documents a step of training read, or which steps read a document; told from the seed, not from a log.

    Examples:
      whorl data read base --step 100
      whorl data read base --doc python_docs:json
    """
    if (step is None) == (doc is None):
        raise UsageError("want exactly one of --step N (which documents were in it) and --doc DOC (when was it read)")
    workspace = reach.opened_workspace(project)
    artifact = reach.found(workspace, "checkpoint", what)
    reading = reach.reading(workspace, artifact, trust or ())
    known = {"fingerprint": artifact.fingerprint, "steps": reading.steps}
    if step is not None:
        names = reading.documents(step)
        terminal.answer({**known, "step": step, "documents": names}, *names)
    elif doc is not None:
        steps = reading.steps_of(doc)
        head = f"{doc}  read in {len(steps)} of {reading.steps} steps"
        terminal.answer({**known, "doc": doc, "read_in": steps}, head, *map(str, steps))


def why(terminal: Terminal, doc_id: DocId, what: What = None, *, project: Project = HERE) -> None:
    """Say what happened to one document, from where it was read to here: kept or dropped, by which step, for which reason.

    Examples:
      whorl data why python_docs:json
    """
    workspace = reach.opened_workspace(project)
    artifact = reach.found(workspace, "documents", what)
    story = reach.told(workspace, artifact, doc_id)
    drawn = [item for name, rows in story for item in (Text(name, style="dim"), *(i for row in rows for i in verdict(row)))]
    rows = [{"corpus": name, **row} for name, rows in story for row in rows]
    terminal.answer({"fingerprint": artifact.fingerprint, "rows": rows}, *drawn)


def stats(terminal: Terminal, what: What = None, *, project: Project = HERE) -> None:
    """Count what came in, what was kept by part, what was dropped by reason, and how the kept documents are.

    Examples:
      whorl data stats
      whorl data stats clean --json
    """
    artifact = reach.found(reach.opened_workspace(project), "documents", what)
    found: Mapping[str, Any] = reach.ledger_rows("stats", artifact.path)
    terminal.answer({"fingerprint": artifact.fingerprint, **found}, *stats_drawn(found))


def diff(terminal: Terminal, before: Before, after: After, *, project: Project = HERE) -> None:
    """Compare two corpora: which documents came, went, are dropped now or kept again, and whose text or part changed.

    Examples:
      whorl data diff clean@1 clean
    """
    workspace = reach.opened_workspace(project)
    folders = [reach.found(workspace, "documents", name).path for name in (before, after)]
    found = reach.corpus_diff(*folders)
    terminal.answer(found, *changes_drawn(found))


def whatif(terminal: Terminal, what: CleanedName, changes: Changes, *, project: Project = HERE) -> None:
    """Apply other thresholds to what was measured: who would be dropped, who would come back. Reads no text, changes nothing.

    Examples:
      whorl data whatif clean gopher_quality.min_words=30
    """
    artifact = reach.found(reach.opened_workspace(project), "documents", what)
    found = reach.corpus_whatif(artifact, dict(_change(text) for text in changes))
    terminal.answer({"fingerprint": artifact.fingerprint, **found}, *whatif_drawn(found))


def _change(text: str) -> tuple[str, Any]:
    address, equals, value = text.partition("=")
    if not equals or "." not in address:
        raise UsageError(f"'{text}': want FILTER.THRESHOLD=VALUE, e.g. gopher_quality.min_words=30")
    return address, reach.plain_value(value)
