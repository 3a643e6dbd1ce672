"""cli/verbs/plan: say what a run would do, and why, and what it will cost."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from whorl.cli import reach
from whorl.cli.drawing import NOT_MEASURED, Column, duration, size, state, table
from whorl.cli.options import Arguments, First, Last, Trust
from whorl.cli.target import target
from whorl.cli.terminal import Terminal
from whorl.core.errors import UsageError, suggestion

if TYPE_CHECKING:
    from whorl.flow.plan import Plan, StagePlan

__all__ = ["plan"]

PANEL = "Make"

_SHOWN = 3  # reasons per stage in the table; --why shows all

Why = Annotated[str | None, typer.Option("--why", metavar="STAGE", help="Everything that makes this one stage stale.")]


def plan(
    terminal: Terminal,
    arguments: Arguments = None,
    *,
    first: First = None,
    last: Last = None,
    trust: Trust = None,
    why: Why = None,
) -> None:
    """Say what a run would do, stage by stage: what is cached, what is stale and why, and what it will cost. Makes nothing.

    Times, memory and disk come from earlier runs in this workspace; a stage that never ran here is "not measured". A stage that
    merely depends on a stale one may still come out equal: then the wave stops there.

    Examples:
      whorl plan
      whorl plan --why clean
      whorl plan recipe.yaml stages.base.model.depth=4 --json
    """
    meant = target(arguments or ())
    recipe = reach.read_recipe(meant.recipe, meant.overrides, trust or ())
    found = reach.planned(recipe, reach.opened_workspace(meant.project), first, last)
    if why is not None:
        stage = _stage(found, why)
        terminal.answer(stage.to_json(), *_reasons(stage))
        return
    terminal.answer(found.to_json(), _table(found), "", _total(found), *_notes(found))


def _stage(found: "Plan", name: str) -> "StagePlan":
    names = [stage.name for stage in found.stages]
    if name not in names:
        raise UsageError(f"--why {name}: no such stage in this plan{suggestion(name, names)}")
    return found.stages[names.index(name)]


def _table(found: "Plan") -> Table:
    drawn = table(
        "stage",
        "use",
        "state",
        Column("why", is_flexible=True),
        *(Column(title, "right") for title in ("time", "memory", "disk")),
    )
    for stage in found.stages:
        drawn.add_row(stage.name, stage.resolved.stage.use, state(stage.state), "\n".join(_why(stage)), *_cost(stage))
    return drawn


def _why(stage: "StagePlan") -> list[str]:
    said = [str(change) for change in stage.why[:_SHOWN]]
    if len(stage.why) > _SHOWN:
        said.append(f"and {len(stage.why) - _SHOWN} more: --why {stage.name}")
    if stage.waits_for:
        said.append(f"waits for {', '.join(stage.waits_for)}")
    if stage.has_drifted:
        said.append("made by other source")
    return said


def _cost(stage: "StagePlan") -> tuple[str, str, str]:
    if stage.state == "cached":
        return "-", "-", "-"
    if stage.cost is None:
        return NOT_MEASURED, "", ""
    return duration(stage.cost.seconds), size(stage.cost.memory_bytes), size(stage.cost.disk_bytes)


def _total(found: "Plan") -> Text:
    to_do = [stage for stage in found.stages if stage.state != "cached"]
    if not to_do:
        return Text("everything is up to date", style="bold green")
    head = f"{len(to_do)} of {len(found.stages)} stages to do: "
    unmeasured = [stage.name for stage in to_do if stage.cost is None]
    if not unmeasured:
        return Text(f"{head}{duration(found.seconds)} (from earlier runs here)", style="bold")
    known_s = sum(stage.cost.seconds for stage in to_do if stage.cost)
    rest = f"; the others {duration(known_s)}" if len(unmeasured) < len(to_do) else ""
    return Text(f"{head}time not measured yet for {', '.join(unmeasured)}{rest}", style="bold")


def _notes(found: "Plan") -> list[Text]:
    drifted = [stage.name for stage in found.stages if stage.has_drifted]
    if not drifted:
        return []
    said = (
        f"made by other source than today's: {', '.join(drifted)}; kept, because code_version is the same (run --strict: fail)"
    )
    return [Text(said, style="yellow")]


def _reasons(stage: "StagePlan") -> list[Any]:
    lines = [Text.assemble((stage.name, "bold"), f" ({stage.resolved.stage.use}): ", state(stage.state))]
    lines += [Text(f"  {change}") for change in stage.why]
    lines += [Text(f"  waits for {name}") for name in stage.waits_for]
    if stage.has_drifted:
        lines.append(Text("  made by other source than today's; its code_version is the same"))
    return lines if len(lines) > 1 else [*lines, Text(f"  {_plainly(stage)}")]


def _plainly(stage: "StagePlan") -> str:
    return {
        "cached": f"nothing differs; fingerprint {str(stage.resolved.fingerprint)[:12]}",
        "new": "this name was never made in this workspace",
        "unfinished": "an earlier run was interrupted; a run goes on from what it saved",
    }.get(stage.state, "nothing of its own differs")
