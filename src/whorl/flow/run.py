"""flow/run: run the stages of a recipe that are not up to date, in order, and record what happened.

Resumes by default: finished stages are reused, an unfinished one goes on from what it saved. Draws nothing; faces subscribe.
"""

import json
import os
import platform
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from whorl.core.artifact import Artifact, write_text_atomic
from whorl.core.canonical import plain
from whorl.core.config import refs_in
from whorl.core.errors import ArtifactError, WhorlError
from whorl.core.events import Event, Events, JsonlSink, SqliteSink
from whorl.core.stage import Stopped, StopSignal
from whorl.flow.adopt import adopt
from whorl.flow.estimate import Grade, costs_by_stage, estimate, grades
from whorl.flow.launch import Launcher
from whorl.flow.recipe import Recipe
from whorl.flow.resolve import Resolved, resolve, source_digest
from whorl.flow.run_page import write_run_page
from whorl.flow.work import WorkOrder
from whorl.flow.workspace import Workspace

__all__ = ["Outcome", "RunOptions", "run_recipe"]


@dataclass(frozen=True)
class RunOptions:
    """How to run; nothing here changes what comes out."""

    first: str | None = None
    last: str | None = None
    is_strict: bool = False  # fail, rather than warn, when cached work was made by other source
    trust: tuple[str, ...] = ()
    workers: int = 0  # processes for map steps; 0: one per core
    launcher: str = "process"
    stop: StopSignal = field(default_factory=StopSignal)
    on_event: Callable[[Event], None] | None = None


class Outcome(NamedTuple):
    """What a run left behind."""

    run: str
    artifacts: Mapping[str, Artifact]  # by stage name
    made: tuple[str, ...]  # stages carried out now; the others were cached
    seconds: float
    grades: list[Grade]


def run_recipe(recipe: Recipe, workspace: Workspace, options: RunOptions | None = None) -> Outcome:
    """Bring the selected stages of a recipe up to date.

    Raises Stopped when asked to stop (everything is saved), ArtifactError when `first` needs a stage that is not up to date,
    and whatever a stage raises.
    """
    options = options or RunOptions()
    began = time.monotonic()
    run = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    folder = workspace.run_folder(run)
    folder.mkdir(parents=True)
    _record(folder, recipe, workspace)
    database = SqliteSink(workspace.events_path, run)
    sinks: list[Callable[[Event], None]] = [JsonlSink(folder / "events.jsonl"), database]
    if options.on_event is not None:
        sinks.append(options.on_event)
    events = Events("", sinks)
    try:
        artifacts, made = _run_stages(recipe, workspace, options, sinks)
    except (WhorlError, Stopped) as error:
        events.emit("run_ended", status="stopped" if isinstance(error, Stopped) else "failed", message=str(error))
        raise
    else:
        seconds = time.monotonic() - began
        events.emit("run_ended", status="finished", seconds=seconds, made=made)
        return Outcome(run, artifacts, tuple(made), seconds, grades(workspace, run))
    finally:
        database.close()
        write_run_page(folder)


def _run_stages(
    recipe: Recipe, workspace: Workspace, options: RunOptions, sinks: list[Callable[[Event], None]]
) -> tuple[dict[str, Artifact], list[str]]:
    selected = recipe.selected(first=options.first, last=options.last)
    needed = set().union(*(recipe.ancestors(name) for name in selected))
    past = costs_by_stage(workspace)
    artifacts: dict[str, Artifact] = {}
    made: list[str] = []
    for position, name in enumerate(name for name in recipe.order() if name in needed):
        events = Events(name, sinks)
        resolved = resolve(recipe, name, workspace, artifacts)
        if resolved.artifact is not None:
            _check_drift(resolved, events, is_strict=options.is_strict)
            events.emit("stage_cached", fingerprint=resolved.fingerprint, counts=resolved.artifact.counts)
        elif name not in selected:
            raise ArtifactError(f"stage '{name}' is not up to date and comes before --from {options.first}; run it first")
        else:
            predicted = estimate(resolved, past)
            predicted_s = predicted.seconds if predicted else None
            events.emit("stage_started", use=resolved.stage.use, position=position, of=len(needed), predicted_s=predicted_s)
            resolved = _carry_out(recipe, resolved, workspace, options, _with_prediction(sinks, predicted_s))
            made.append(name)
        assert resolved.artifact is not None, "a carried out stage has published"
        artifacts[name] = resolved.artifact
        workspace.set_name(name, resolved.artifact)
    return artifacts, made


def _carry_out(
    recipe: Recipe, resolved: Resolved, workspace: Workspace, options: RunOptions, sinks: list[Callable[[Event], None]]
) -> Resolved:
    launcher = Launcher.model_validate({"use": options.launcher})
    made = {target: artifact for target, artifact in resolved.inputs.items() if target in recipe.stages}
    for _, ref in refs_in(resolved.stage):
        if ref.is_path:
            adopt(workspace, workspace.root / ref.target, ref.kinds[0])
    resolved = resolve(recipe, resolved.name, workspace, made)  # now with what was adopted
    if resolved.to_pin:
        pinned: dict[str, str] = {}
        send = [*sinks, lambda event: pinned.update(event.get("pins", {}))]
        launcher.launch(_order(recipe, resolved, workspace, options), _fan_out(send), options.stop)
        workspace.set_pins(resolved.name, resolved.to_pin, pinned)
        resolved = resolve(recipe, resolved.name, workspace, made)
    if resolved.artifact is None:
        launcher.launch(_order(recipe, resolved, workspace, options), _fan_out(sinks), options.stop)
    return resolve(recipe, resolved.name, workspace, made)


def _order(recipe: Recipe, resolved: Resolved, workspace: Workspace, options: RunOptions) -> WorkOrder:
    parents = {
        place: {"ref": str(ref), "kind": found.kind, "fingerprint": found.fingerprint, "content": found.content}
        for place, ref in refs_in(resolved.stage)
        if (found := resolved.inputs.get(ref.target)) is not None
    }
    return WorkOrder(
        root=str(workspace.root),
        name=resolved.name,
        stage=plain(resolved.stage),
        inputs={target: (artifact.kind, artifact.fingerprint) for target, artifact in resolved.inputs.items()},
        seed=recipe.seed,
        identity=resolved.identity.plain() if resolved.identity else None,
        parents=parents,
        trust=options.trust,
        workers=options.workers,
    )


def _check_drift(resolved: Resolved, events: Events, *, is_strict: bool) -> None:
    assert resolved.artifact is not None, "only cached stages can have drifted"
    if resolved.artifact.manifest["source_digest"] == source_digest(resolved.stage):
        return
    message = (
        f"stage '{resolved.name}' is cached, but the source that made it has changed since and its code_version has not; "
        "if the change matters to the result, raise code_version in the stage's file"
    )
    if is_strict:
        raise ArtifactError(message)
    events.emit("source_drift", message=message)


def _with_prediction(sinks: list[Callable[[Event], None]], predicted_s: float | None) -> list[Callable[[Event], None]]:
    """The worker does not know what was predicted; put it beside what happened, so that it can be graded."""
    forward = _fan_out(sinks)

    def send(event: Event) -> None:
        forward({**event, "predicted_s": predicted_s} if event["kind"] == "stage_finished" else event)

    return [send]


def _fan_out(sinks: list[Callable[[Event], None]]) -> Callable[[Event], None]:
    def send(event: Event) -> None:
        for sink in sinks:
            sink(event)

    return send


def _record(folder: Path, recipe: Recipe, workspace: Workspace) -> None:
    """The resolved recipe, and where, when and by what it is being run."""
    write_text_atomic(folder / "resolved.yaml", yaml.safe_dump(plain(recipe), sort_keys=False, allow_unicode=True))
    write_text_atomic(folder / "run.json", json.dumps(_provenance(workspace.root), indent=1) + "\n")


def _provenance(root: Path) -> dict[str, Any]:
    packages = {}
    for name in ("whorl", "torch", "numpy", "numba", "pyarrow", "tokenizers", "pydantic"):
        with suppress(PackageNotFoundError):
            packages[name] = version(name)
    return {
        "began": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "argv": sys.argv,
        "python": platform.python_version(),
        "packages": packages,
        "machine": {"system": platform.platform(), "processor": _processor(), "cores": os.cpu_count()},
        "git": _git_state(root),
    }


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "not recorded"


def _git_state(root: Path) -> str:
    with suppress(OSError, subprocess.SubprocessError):
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True, timeout=5, check=False
        )
        if found.returncode == 0:
            return found.stdout.strip()
    return "not recorded"
