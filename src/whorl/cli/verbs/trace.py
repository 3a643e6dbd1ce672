"""cli/verbs/trace: walk from an artifact to the raw files it came from."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text
from rich.tree import Tree

from whorl.cli import reach
from whorl.cli.drawing import counts_line
from whorl.cli.options import HERE, Project
from whorl.cli.terminal import Terminal

if TYPE_CHECKING:
    from whorl.flow.trace import Step

__all__ = ["trace"]

PANEL = "Look inside"

What = Annotated[str, typer.Argument(metavar="NAME", help="A name, name@version, or a fingerprint of 6 digits or more.")]


def trace(terminal: Terminal, what: What, *, project: Project = HERE) -> None:
    """Walk from an artifact through everything it was made from, down to the raw files. Reads manifests alone.

    Examples:
      whorl trace chat
      whorl trace exam@1 --json
    """
    step = reach.traced(reach.opened_workspace(project), what)
    terminal.answer(step.to_json(), _tree(step, set()))


def _tree(step: "Step", seen: set[str]) -> Tree:
    """A branch per parent; what was drawn already is named and not drawn again."""
    drawn = Tree(_label(step), guide_style="dim")
    if step.fingerprint in seen and (step.parents or step.raw):
        drawn.add(Text("see above", style="dim"))
        return drawn
    seen.add(step.fingerprint)
    for place, content in step.raw.items():
        drawn.add(Text.assemble((place, "dim"), f"  raw, content {content[:12]}"))
    for parent in step.parents:
        drawn.add(_tree(parent, seen))
    return drawn


def _label(step: "Step") -> Text:
    place = f"{step.place}  " if step.place else ""
    name = step.names[-1] if step.names else "unnamed"
    said = Text.assemble((place, "dim"), (name, "bold"), f"  {step.kind} {step.fingerprint[:12]}  ", (step.stage, "cyan"))
    counts = counts_line(step.counts, 3)
    return Text.assemble(said, f"  {counts}", overflow="ellipsis", no_wrap=True) if counts else said
