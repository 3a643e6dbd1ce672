"""flow/verify: recompute every hash of every artifact, and check that each was made from what it says.

Changes nothing; what it finds wrong is listed, not repaired.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from whorl.core.artifact import Artifact, Identity
from whorl.flow.resolve import adopted_fingerprint
from whorl.flow.workspace import Workspace

__all__ = ["Fault", "verify"]


class Fault(NamedTuple):
    """Something that is not as it should be."""

    artifact: str  # kind/fingerprint
    what: str


def verify(
    workspace: Workspace, address: str | None = None, *, on_artifact: Callable[[Artifact], None] | None = None
) -> list[Fault]:
    """Faults of one artifact, or of all and of the names that point at them; an empty list means all is well."""
    artifacts = [workspace.find(address)] if address else list(workspace.store.all())
    faults: list[Fault] = []
    for artifact in artifacts:
        if on_artifact is not None:
            on_artifact(artifact)
        faults += [Fault(f"{artifact.kind}/{artifact.fingerprint[:12]}", what) for what in _faults(workspace, artifact)]
    if address is None:
        faults += _dangling_names(workspace)
    return faults


def _faults(workspace: Workspace, artifact: Artifact) -> Iterator[str]:
    yield from artifact.altered()
    if artifact.path.name != artifact.fingerprint:
        yield f"folder is called {artifact.path.name[:12]}, manifest says {artifact.fingerprint[:12]}"
    identity = Identity(**artifact.manifest["identity"])
    is_adopted = identity.stage == "adopt"
    expected = adopted_fingerprint(artifact.kind, artifact.content) if is_adopted else identity.fingerprint
    if expected != artifact.fingerprint:
        yield f"fingerprint does not follow from the identity in its manifest (that gives {expected[:12]})"
    for place, parent in artifact.manifest["parents"].items():
        found = workspace.store.find(parent["kind"], parent["fingerprint"])
        if found is not None and found.content != parent["content"]:
            yield f"{place}: was made from content {parent['content'][:12]}, but the store now holds {found.content[:12]}"
        if identity.inputs.get(place) != parent["content"]:
            yield f"{place}: parents and identity disagree on what was read"


def _dangling_names(workspace: Workspace) -> Iterator[Fault]:
    for named in workspace.names():
        if workspace.store.find(named.kind, named.fingerprint) is None and named == workspace.latest(named.name):
            yield Fault(f"{named.kind}/{named.fingerprint[:12]}", f"{named.address} points at it, but it is not in the store")
