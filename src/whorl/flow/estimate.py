"""flow/estimate: what a stage will cost, from what it cost in this workspace before, and how good that guess was.

A stage that never ran here is "not measured"; nothing is guessed from other machines.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from whorl.core.events import past_events
from whorl.flow.resolve import Resolved
from whorl.flow.workspace import Workspace

__all__ = ["Cost", "Grade", "costs_by_stage", "estimate", "grades"]


class Cost(NamedTuple):
    """Seconds of wall time, peak resident bytes, bytes on disk; and the run the figures come from."""

    seconds: float
    memory_bytes: int
    disk_bytes: int
    run: str = ""


class Grade(NamedTuple):
    """A prediction beside what happened."""

    stage: str
    predicted_s: float | None
    actual_s: float

    @property
    def error(self) -> float | None:
        """(actual - predicted) / predicted, or None when nothing was predicted."""
        return (self.actual_s - self.predicted_s) / self.predicted_s if self.predicted_s else None


def costs_by_stage(workspace: Workspace) -> dict[str, Mapping[str, Any]]:
    """The last uninterrupted finish of every stage in this workspace, by stage name."""
    return {event["stage"]: event for event in past_events(workspace.events_path, "stage_finished") if not event.get("resumed")}


def estimate(resolved: Resolved, past: Mapping[str, Mapping[str, Any]]) -> Cost | None:
    """Cost of running a stage; None: not measured. Time is scaled by the stage's work where both runs know it.

    Memory and disk are not: a checkpoint trained twice as long is as large.
    """
    event = past.get(resolved.name)
    if event is None or event.get("use") != resolved.stage.use:
        return None
    work = resolved.stage.work(resolved.inputs)
    scale = work / event["work"] if work and event.get("work") else 1.0
    return Cost(event["seconds"] * scale, int(event["memory_bytes"]), int(event["disk_bytes"]), event["run"])


def grades(workspace: Workspace, run: str) -> list[Grade]:
    """Predicted against actual seconds of every stage that a run finished."""
    return [
        Grade(event["stage"], event.get("predicted_s"), event["seconds"])
        for event in past_events(workspace.events_path, "stage_finished")
        if event["run"] == run
    ]
