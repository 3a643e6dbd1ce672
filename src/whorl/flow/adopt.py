"""flow/adopt: bring existing data or models into the store, with where they came from.

Copies; the original is left alone. The address is a function of kind and content, so adopting twice adopts once.
"""

import shutil
from pathlib import Path

from whorl.core.artifact import KINDS, Artifact, Identity, content_hash
from whorl.core.errors import DataError, UsageError, suggestion
from whorl.flow.resolve import adopted_fingerprint, path_listing
from whorl.flow.workspace import Workspace

__all__ = ["adopt"]

# What a folder of each kind must hold to be of use to a stage; other kinds are whorl's own formats and must bring a manifest.
_MUST_HOLD = {
    "checkpoint": ("config.json", "tokenizer.json"),
    "tokenizer": ("tokenizer.json",),
    "dialogues": ("*.jsonl",),
    "preferences": ("*.jsonl",),
    "documents": ("documents-*.parquet",),
    "tokens": ("*/docs.parquet",),
    "report": ("report.json",),
}


def adopt(workspace: Workspace, path: Path, kind: str, *, name: str | None = None) -> Artifact:
    """Copy a file or folder into the store as an artifact of `kind`, and name it if a name is given.

    Raises UsageError for an unknown kind, DataError when the folder lacks what that kind must hold, ArtifactError when
    there is nothing to adopt.
    """
    if kind not in KINDS:
        raise UsageError(f"cannot adopt as '{kind}'{suggestion(kind, KINDS)}")
    files = path_listing(path)
    folder = path if path.is_dir() else path.parent
    for pattern in _MUST_HOLD.get(kind, ()):
        if not any(Path(file).match(pattern) for file in files):
            raise DataError(f"{path}: no {pattern} in it, which every {kind} must hold (found: {', '.join(list(files)[:5])})")
    content = content_hash(files)
    fingerprint = adopted_fingerprint(kind, content)
    artifact = workspace.store.find(kind, fingerprint)
    if artifact is None:
        artifact = _copy(workspace, folder, list(files), kind, fingerprint)
    if name is not None:
        workspace.set_name(name, artifact)
    return artifact


def _copy(workspace: Workspace, folder: Path, files: list[str], kind: str, fingerprint: str) -> Artifact:
    store = workspace.store
    with store.lease(kind, fingerprint) as lease:
        draft = store.draft(kind, fingerprint, lease)
        for file in files:
            target = draft.folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / file, target)
        identity = Identity("adopt", 1, {"kind": kind, "came_from": folder.name}, {})
        counts = {"files": len(files)}
        return draft.publish(identity, counts=counts, parents={}, source_digest="not recorded")
