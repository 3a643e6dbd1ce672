"""flow/trace: walk from any artifact to the raw files it came from, through the manifests alone.

Reads manifests and, for a document, the ledger rows that name it; does not recompute hashes (that is flow/verify).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from whorl.core.artifact import Artifact
from whorl.flow.workspace import Workspace

__all__ = ["Step", "trace", "walk"]


@dataclass(frozen=True)
class Step:
    """One artifact in an ancestry: the place it was read from (empty at the root) and what it was made from."""

    place: str
    kind: str
    fingerprint: str
    stage: str  # public name of the stage, "adopt", or "missing" when the store no longer has it
    names: tuple[str, ...]
    counts: Mapping[str, Any]
    raw: Mapping[str, str]  # raw inputs by place -> content hash
    parents: tuple["Step", ...]

    def to_json(self) -> dict[str, Any]:
        """Nested JSON for `trace --json`."""
        return {
            "place": self.place,
            "kind": self.kind,
            "fingerprint": self.fingerprint,
            "stage": self.stage,
            "names": list(self.names),
            "counts": dict(self.counts),
            "raw": dict(self.raw),
            "parents": [parent.to_json() for parent in self.parents],
        }


def trace(workspace: Workspace, address: str) -> Step:
    """The ancestry of an artifact named by `name`, `name@version` or fingerprint. Raises ArtifactError."""
    names: dict[str, list[str]] = {}
    for named in workspace.names():
        names.setdefault(named.fingerprint, []).append(named.address)
    return _step(workspace, workspace.find(address), "", names)


def walk(step: Step) -> Iterator[Step]:
    """A step and all its ancestors, nearest first; one that is reached twice comes twice."""
    yield step
    for parent in step.parents:
        yield from walk(parent)


def _step(workspace: Workspace, artifact: Artifact, place: str, names: Mapping[str, list[str]]) -> Step:
    identity: Mapping[str, Any] = artifact.manifest["identity"]
    parents = []
    for where, parent in artifact.manifest["parents"].items():
        found = workspace.store.find(parent["kind"], parent["fingerprint"])
        parents.append(
            _step(workspace, found, where, names)
            if found is not None
            else Step(where, parent["kind"], parent["fingerprint"], "missing", (), {}, {}, ())
        )
    return Step(
        place=place,
        kind=artifact.kind,
        fingerprint=artifact.fingerprint,
        stage=identity["stage"],
        names=tuple(names.get(artifact.fingerprint, ())),
        counts=artifact.counts,
        raw={k.removeprefix("raw."): v for k, v in identity["inputs"].items() if k.startswith("raw.")},
        parents=tuple(parents),
    )
