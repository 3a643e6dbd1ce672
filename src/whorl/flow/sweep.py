"""flow/sweep: what `gc` would delete, and what could not be made again afterwards.

Kept: the newest version of every name with all its ancestors and siblings. Swept: older versions, unnamed artifacts,
unfinished folders nobody holds, and the shard cache.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whorl.core.artifact import Artifact, remove_tree
from whorl.core.lease import Owner
from whorl.core.stage import stage_names
from whorl.flow.trace import trace, walk
from whorl.flow.workspace import Workspace

__all__ = ["Sweep", "Swept", "plan_sweep", "sweep"]


@dataclass(frozen=True)
class Swept:
    """One thing that would go."""

    path: Path
    what: str  # "checkpoint 1a2b3c4d5e6f", "unfinished checkpoint ...", "shard cache"
    size_bytes: int
    names: tuple[str, ...] = ()
    why_unrebuildable: str = ""  # empty: a run of its recipe makes it again

    def to_json(self) -> dict[str, Any]:
        """Flat JSON for `gc --json`."""
        return {
            "what": self.what,
            "size_bytes": self.size_bytes,
            "names": list(self.names),
            "why_unrebuildable": self.why_unrebuildable,
        }


@dataclass(frozen=True)
class Sweep:
    """All that would go, largest first."""

    swept: tuple[Swept, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes that would be freed."""
        return sum(item.size_bytes for item in self.swept)


def plan_sweep(workspace: Workspace) -> Sweep:
    """What gc would delete now."""
    kept = _kept(workspace)
    names: dict[str, list[str]] = {}
    for named in workspace.names():
        names.setdefault(named.fingerprint, []).append(named.address)
    swept = [
        Swept(
            artifact.path,
            f"{artifact.kind} {artifact.fingerprint[:12]}",
            artifact.size_bytes,
            tuple(names.get(artifact.fingerprint, ())),
            _why_unrebuildable(workspace, artifact),
        )
        for artifact in workspace.store.all()
        if artifact.fingerprint not in kept
    ]
    swept += [
        Swept(path, f"unfinished {path.parent.name} {path.name[:12]}", _size_bytes(path))
        for path in workspace.store.partials()
        if not _is_held(workspace, path)
    ]
    cache = workspace.home / "cache"
    if cache.is_dir():
        swept.append(Swept(cache, "shard cache", _size_bytes(cache)))
    return Sweep(tuple(sorted(swept, key=lambda item: -item.size_bytes)))


def sweep(plan: Sweep) -> None:
    """Delete what a plan names; each folder is renamed first, so that a crash leaves nothing half there."""
    for item in plan.swept:
        doomed = item.path.with_name(f"{item.path.name}.doomed")
        item.path.rename(doomed)
        remove_tree(doomed)


def _kept(workspace: Workspace) -> set[str]:
    kept: set[str] = set()
    for name in {named.name for named in workspace.names()}:
        latest = workspace.latest(name)
        if latest is not None and workspace.store.find(latest.kind, latest.fingerprint) is not None:
            kept |= {step.fingerprint for step in walk(trace(workspace, name))}
    return kept


def _why_unrebuildable(workspace: Workspace, artifact: Artifact) -> str:
    identity = artifact.manifest["identity"]
    if identity["stage"] == "adopt":
        return "it was adopted; only the original can bring it back"
    if identity["stage"] not in stage_names():
        return f"no stage '{identity['stage']}' here any more"
    for place, parent in artifact.manifest["parents"].items():
        found = workspace.store.find(parent["kind"], parent["fingerprint"])
        if found is None:
            return f"its {place} ({parent['kind']} {parent['fingerprint'][:12]}) is already gone"
    raw = [place.removeprefix("raw.") for place in identity["inputs"] if place.startswith("raw.")]
    return f"only while {', '.join(raw)} is as it was" if raw else ""


def _is_held(workspace: Workspace, partial: Path) -> bool:
    fingerprint = partial.name.partition(".")[0]
    lease = workspace.store.lease(partial.parent.name, fingerprint).path
    if not lease.is_file():
        return False
    text = lease.read_text()
    return bool(text) and Owner(**json.loads(text)).is_alive


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
