"""cli/reach: what verbs ask of the floors below, imported only when asked, so that `--help` stays light.

Each function is a typed name for something that core/door finds; none of them adds behaviour.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from whorl.cli.target import Target
from whorl.cli.terminal import Terminal
from whorl.core.door import load
from whorl.core.errors import ArtifactError, UsageError, suggestion

if TYPE_CHECKING:
    from whorl.core.artifact import Artifact
    from whorl.flow.plan import Plan
    from whorl.flow.recipe import Recipe
    from whorl.flow.run import Outcome, RunOptions
    from whorl.flow.sweep import Sweep
    from whorl.flow.trace import Step
    from whorl.flow.verify import Fault
    from whorl.flow.workspace import Workspace

__all__ = [
    "Finding",
    "Reading",
    "adopted",
    "bring_up_to_date",
    "corpus_diff",
    "corpus_whatif",
    "decoding_gauged",
    "faults",
    "findings",
    "found",
    "ledger_rows",
    "opened_workspace",
    "plain_value",
    "planned",
    "read_recipe",
    "reading",
    "recipe_schema",
    "run_events",
    "run_options",
    "sweep_away",
    "sweep_plan",
    "tell_outcome",
    "told",
    "traced",
]


def opened_workspace(project: Path) -> "Workspace":
    """The workspace of a project folder; not created by looking at it."""
    return cast("type[Workspace]", load("whorl.flow.workspace:Workspace"))(project.resolve())


def read_recipe(path: Path, overrides: Sequence[str] = (), trust: Iterable[str] = ()) -> "Recipe":
    """A validated recipe. Raises ConfigError."""
    return cast("Callable[..., Recipe]", load("whorl.flow.recipe:load_recipe"))(path, overrides, trust=trust)


def recipe_schema() -> Mapping[str, Any]:
    """JSON Schema of recipes; imports every stage and member of the house."""
    return cast("Callable[[], Mapping[str, Any]]", load("whorl.flow.recipe:schema"))()


def planned(recipe: "Recipe", workspace: "Workspace", first: str | None, last: str | None) -> "Plan":
    """What a run would do."""
    return cast("Callable[..., Plan]", load("whorl.flow.plan:make_plan"))(recipe, workspace, first=first, last=last)


def run_options() -> "type[RunOptions]":
    """How to run: the class to fill in."""
    return cast("type[RunOptions]", load("whorl.flow.run:RunOptions"))


def bring_up_to_date(terminal: Terminal, target: Target, options: "RunOptions") -> "Outcome | None":
    """Run a recipe for a person; None when it was stopped. See cli/river."""
    run = cast("Callable[..., Outcome | None]", load("whorl.cli.river:bring_up_to_date"))
    return run(terminal, target, options)


def tell_outcome(terminal: Terminal, target: Target, outcome: "Outcome") -> None:
    """The end of a run, for a person. See cli/river."""
    cast("Callable[..., None]", load("whorl.cli.river:tell_outcome"))(terminal, target, outcome)


def run_events(workspace: "Workspace", kind: str, **where: str) -> list[Mapping[str, Any]]:
    """Events of one kind of every run, oldest first."""
    past = cast("Callable[..., Iterable[Mapping[str, Any]]]", load("whorl.core.events:past_events"))
    return list(past(workspace.events_path, kind, **where))


def found(workspace: "Workspace", kind: str, address: str | None) -> "Artifact":
    """The artifact of that kind by name, or the one made last when no name is given. Raises ArtifactError or UsageError."""
    if address is None:
        made = [event["stage"] for event in run_events(workspace, "stage_finished", artifact_kind=kind)]
        named = [one.name for one in workspace.names() if one.kind == kind]
        if not named:
            raise ArtifactError(f"no {kind} in {workspace.root} yet; make one with 'whorl run' (or name another --project)")
        address = next((name for name in reversed(made) if name in named), named[-1])
    artifact = workspace.find(address)
    if artifact.kind != kind:
        known = [one.name for one in workspace.names() if one.kind == kind]
        raise UsageError(f"'{address}' is {artifact.kind}, wanted {kind}{suggestion(address, known)}")
    return artifact


def traced(workspace: "Workspace", address: str) -> "Step":
    """The ancestry of an artifact. Raises ArtifactError."""
    return cast("Callable[..., Step]", load("whorl.flow.trace:trace"))(workspace, address)


def faults(workspace: "Workspace", address: str | None, on_artifact: "Callable[[Artifact], None]") -> "list[Fault]":
    """What recomputing every hash finds wrong."""
    check = cast("Callable[..., list[Fault]]", load("whorl.flow.verify:verify"))
    return check(workspace, address, on_artifact=on_artifact)


def sweep_plan(workspace: "Workspace") -> "Sweep":
    """What gc would delete."""
    return cast("Callable[..., Sweep]", load("whorl.flow.sweep:plan_sweep"))(workspace)


def sweep_away(plan: "Sweep") -> None:
    """Delete it."""
    cast("Callable[[Sweep], None]", load("whorl.flow.sweep:sweep"))(plan)


def adopted(workspace: "Workspace", path: Path, kind: str, name: str | None) -> "Artifact":
    """Copy something into the store. Raises DataError, UsageError or ArtifactError."""
    return cast("Callable[..., Artifact]", load("whorl.flow.adopt:adopt"))(workspace, path, kind, name=name)


def ledger_rows(question: str, folder: Path, **asked: object) -> Any:  # noqa: ANN401 - rows of plain values
    """What the ledger of a documents folder says: `why`, `stats` or `peek`."""
    return cast("Callable[..., Any]", load(f"whorl.corpus.ledger:{question}"))(folder, **asked)


def told(workspace: "Workspace", artifact: "Artifact", doc_id: str) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """What every corpus on the way to this one says of a document, first to last: name or stage, and its ledger rows.

    Raises UsageError when none of them knows it.
    """
    trail = {step.fingerprint: step for step in _ancestry(traced(workspace, artifact.fingerprint)) if step.kind == "documents"}
    found, fault = [], None
    for step in reversed(list(trail.values())):
        if step.stage == "missing":
            continue
        folder = workspace.store.open(step.kind, step.fingerprint).path
        try:
            rows = ledger_rows("why", folder, doc_id=doc_id)
        except UsageError as error:
            fault = error
        else:
            found.append((step.names[0] if step.names else step.stage, rows))
    if not found and fault is not None:
        raise fault
    return found


def _ancestry(step: "Step") -> "Iterable[Step]":
    return cast("Callable[[Step], Iterable[Step]]", load("whorl.flow.trace:walk"))(step)


def plain_value(text: str) -> Any:  # noqa: ANN401 - whatever YAML says it is
    """A value as a recipe would hold it: `30`, `[en, de]`. Raises UsageError for what is no YAML."""
    fault = cast("type[Exception]", load("yaml:YAMLError"))
    try:
        return cast("Callable[[str], Any]", load("yaml:safe_load"))(text)
    except fault as error:
        raise UsageError(f"'{text}' is no value: {' '.join(str(error).split())}") from error


def corpus_diff(before: Path, after: Path) -> Mapping[str, Any]:
    """What differs between two folders of documents."""
    return cast("Callable[..., Mapping[str, Any]]", load("whorl.corpus.diff:diff"))(before, other=after)


def corpus_whatif(artifact: "Artifact", changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Other thresholds on the ledger of a documents artifact. Raises UsageError."""
    filters = artifact.manifest["identity"]["config"].get("filters", [])
    ask = cast("Callable[..., Mapping[str, Any]]", load("whorl.corpus.whatif:whatif"))
    return ask(artifact.path, filters=filters, changes=changes)


class Reading(Protocol):
    """What a fit read at which step; see train/reading."""

    steps: int

    def documents(self, step: int) -> tuple[str, ...]:
        """Ids of the documents a step read some of."""
        ...

    def steps_of(self, doc_id: str) -> list[int]:
        """The steps that read some of a document."""
        ...


def reading(workspace: "Workspace", checkpoint: "Artifact", trust: Iterable[str] = ()) -> Reading:
    """The batches of the fit that made a checkpoint, built again. Raises ArtifactError when its data is gone."""
    parents: Mapping[str, Any] = checkpoint.manifest["parents"]
    inputs = {place: workspace.store.open(parent["kind"], parent["fingerprint"]) for place, parent in parents.items()}
    return cast("Callable[..., Reading]", load("whorl.train.reading:reading"))(checkpoint, inputs, tuple(trust))


class Finding(Protocol):
    """Something doctor looked at; see cli/checks."""

    what: str
    state: str
    says: str
    fix: str

    def _asdict(self) -> dict[str, Any]: ...


def findings(project: Path, trust: Sequence[str]) -> list[Finding]:
    """What is well and what is not on this machine and in a workspace; loads torch."""
    return list(cast("Callable[[Path, Sequence[str]], Iterable[Finding]]", load("whorl.cli.checks:findings"))(project, trust))


def decoding_gauged(what: Path | Mapping[str, Any], *, weights: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """How fast a checkpoint, or a random model of a shape, decodes here; see infer/gauge. Raises ConfigError or UsageError."""
    gauge = cast("Callable[..., Mapping[str, Any]]", load("whorl.infer.gauge:gauged"))
    return gauge(what, weights=weights, asked=asked)
