"""flow/plan: which stages are cached, which are stale and why, which merely depend on one of those, and what it will cost.

Makes nothing. The wave of staleness stops where a rebuilt parent comes out equal: that is only known after the run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from whorl.core.artifact import Artifact
from whorl.core.canonical import Change, changes, plain
from whorl.flow.estimate import Cost, costs_by_stage, estimate
from whorl.flow.recipe import Recipe
from whorl.flow.resolve import Resolved, resolve, source_digest
from whorl.flow.workspace import Workspace

__all__ = ["Plan", "StagePlan", "State", "make_plan", "why_stale"]

State = Literal["cached", "new", "stale", "depends", "unfinished"]


@dataclass(frozen=True)
class StagePlan:
    """What would happen to one stage."""

    resolved: Resolved
    state: State
    why: tuple[Change, ...] = ()
    waits_for: tuple[str, ...] = ()
    cost: Cost | None = None  # None: cached, or not measured
    has_drifted: bool = False  # cached, but the source that made it has changed since

    @property
    def name(self) -> str:
        """The stage's name in the recipe."""
        return self.resolved.name

    def to_json(self) -> dict[str, Any]:
        """Flat JSON for `plan --json`."""
        return {
            "stage": self.name,
            "use": self.resolved.stage.use,
            "state": self.state,
            "why": [str(change) for change in self.why],
            "waits_for": list(self.waits_for),
            "fingerprint": self.resolved.fingerprint,
            "seconds": self.cost.seconds if self.cost else None,
            "memory_bytes": self.cost.memory_bytes if self.cost else None,
            "disk_bytes": self.cost.disk_bytes if self.cost else None,
            "source_drift": self.has_drifted,
        }


@dataclass(frozen=True)
class Plan:
    """Every selected stage in running order."""

    recipe: Recipe
    stages: tuple[StagePlan, ...]

    @property
    def seconds(self) -> float | None:
        """Predicted wall time of what is not cached; None when any part of it was never measured."""
        open_stages = [stage for stage in self.stages if stage.state != "cached"]
        if any(stage.cost is None for stage in open_stages):
            return None
        return sum(stage.cost.seconds for stage in open_stages if stage.cost)

    def to_json(self) -> dict[str, Any]:
        """JSON for `plan --json`."""
        return {"recipe": self.recipe.name, "seconds": self.seconds, "stages": [stage.to_json() for stage in self.stages]}


def make_plan(recipe: Recipe, workspace: Workspace, *, first: str | None = None, last: str | None = None) -> Plan:
    """Plan the selected stages of a recipe against a workspace."""
    made: dict[str, Artifact] = {}
    past = costs_by_stage(workspace)
    selected = set(recipe.selected(first=first, last=last))
    stages: list[StagePlan] = []
    for name in recipe.order():
        resolved = resolve(recipe, name, workspace, made)
        if resolved.artifact is not None:
            made[name] = resolved.artifact
        if name in selected:
            stages.append(_stage_plan(resolved, workspace, past))
    return Plan(recipe, tuple(stages))


def _stage_plan(resolved: Resolved, workspace: Workspace, past: Mapping[str, Mapping[str, Any]]) -> StagePlan:
    if resolved.artifact is not None:
        drifted = resolved.artifact.manifest["source_digest"] != source_digest(resolved.stage)
        return StagePlan(resolved, "cached", has_drifted=drifted)
    why = why_stale(resolved, workspace)
    cost = estimate(resolved, past)
    if resolved.fingerprint is not None and _is_begun(resolved, workspace):
        return StagePlan(resolved, "unfinished", why, cost=cost)
    latest = workspace.latest(resolved.name)
    if latest is None or workspace.store.find(latest.kind, latest.fingerprint) is None:
        return StagePlan(resolved, "new", waits_for=resolved.missing, cost=cost)
    if resolved.missing and not why:
        return StagePlan(resolved, "depends", waits_for=resolved.missing, cost=cost)
    return StagePlan(resolved, "stale", why, resolved.missing, cost)


def why_stale(resolved: Resolved, workspace: Workspace) -> tuple[Change, ...]:
    """Field-level differences between the newest version of this name and what the recipe asks for now."""
    latest = workspace.latest(resolved.name)
    before = workspace.store.find(latest.kind, latest.fingerprint) if latest else None
    if before is None or "identity" not in before.manifest:
        return ()
    old: dict[str, Any] = before.manifest["identity"]
    if resolved.identity is not None:
        return tuple(_readable(changes(old, resolved.identity.plain())))
    known = {
        "stage": resolved.stage.use,
        "code_version": type(resolved.stage).code_version,
        "config": plain(resolved.stage, hashed_only=True),
    }
    return tuple(_readable(changes({key: old[key] for key in known}, known)))


def _readable(found: Any) -> list[Change]:  # noqa: ANN401 - an iterator of changes
    return [Change(change.place.removeprefix("config."), change.before, change.after) for change in found]


def _is_begun(resolved: Resolved, workspace: Workspace) -> bool:
    left = [path.name for path in workspace.store.partials() if path.suffix == ".partial"]
    return any(name.startswith(f"{resolved.fingerprint}.") for name in left)
