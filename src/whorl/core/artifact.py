"""core/artifact: finished folders, addressed by what made them, and the drafts they grow from.

    store/<kind>/<fingerprint>/{manifest.json, ...}        finished, read-only
    store/<kind>/<fingerprint>.<token>.partial/            being written by the holder of lease <token>

The manifest goes in last, then one atomic rename. It holds what the artifact is (identity, inputs, files, counts), never
when, where or by which machine it was made: that belongs to the run. Does not know what any stage does.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whorl.core.canonical import digest
from whorl.core.errors import ArtifactError
from whorl.core.lease import Lease

__all__ = [
    "KINDS",
    "MANIFEST",
    "Artifact",
    "Draft",
    "Identity",
    "Store",
    "content_hash",
    "file_sha256",
    "listing",
    "remove_tree",
    "sync",
    "write_text_atomic",
]

KINDS = (
    "documents",
    "tokens",
    "tokenizer",
    "dialogues",
    "preferences",
    "checkpoint",
    "state",
    "report",
    "index",
    "journal",
    "classifier",
    "export",  # in the format of another tool; no stage reads it
)
MANIFEST = "manifest.json"
_NOT_PAYLOAD = (MANIFEST,)
_MANIFEST_KEYS = ("kind", "fingerprint", "identity", "parents", "source_digest", "counts", "files", "content")


@dataclass(frozen=True)
class Identity:
    """What an artifact is a function of. Everything here is hashed into the fingerprint; nothing else is."""

    stage: str  # public name of the stage, e.g. "corpus.refine"
    code_version: int
    config: Mapping[str, Any]  # plain, hashed fields only; references keep their part, not their name
    inputs: Mapping[str, str]  # place of the reference or raw input -> content hash
    seed: int | None = None  # only for stages that draw random numbers

    def plain(self) -> dict[str, Any]:
        """The identity as JSON-ready values."""
        return {
            "stage": self.stage,
            "code_version": self.code_version,
            "config": dict(self.config),
            "inputs": dict(self.inputs),
            "seed": self.seed,
        }

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits naming the artifact."""
        return digest(self.plain())


@dataclass(frozen=True)
class Artifact:
    """A finished folder."""

    kind: str
    fingerprint: str
    path: Path
    manifest: Mapping[str, Any]

    @property
    def content(self) -> str:
        """Hash of the payload files; equal artifacts have equal content whatever made them."""
        return str(self.manifest["content"])

    @property
    def counts(self) -> Mapping[str, Any]:
        """Headline figures the stage returned."""
        counts: Mapping[str, Any] = self.manifest["counts"]
        return counts

    @property
    def size_bytes(self) -> int:
        """Total size of the payload."""
        return sum(entry["bytes"] for entry in self.manifest["files"].values())

    def altered(self) -> list[str]:
        """Recompute every hash; names of files that are missing, changed or extra, with what is wrong."""
        listed: Mapping[str, Any] = self.manifest["files"]
        found = set(_payload(self.path))
        faults = [f"{name}: missing" for name in listed if name not in found]
        faults += [f"{name}: not in the manifest" for name in sorted(found - set(listed))]
        for name in sorted(found & set(listed)):
            if (self.path / name).is_symlink():
                faults.append(f"{name}: replaced by a link")
            elif file_sha256(self.path / name) != listed[name]["sha256"]:
                faults.append(f"{name}: content differs from the manifest")
        if not faults and content_hash(listed) != self.content:
            faults.append(f"{MANIFEST}: content hash does not match its own file list")
        return faults


@dataclass(frozen=True)
class Draft:
    """An artifact being written. `folder` survives a crash, and the next holder of the lease finds it as it was."""

    kind: str
    fingerprint: str
    folder: Path
    final: Path
    lease: Lease

    def publish(
        self, identity: Identity, *, counts: Mapping[str, Any], parents: Mapping[str, Any], source_digest: str
    ) -> Artifact:
        """Write the manifest, make everything read-only and durable, and rename.

        Raises ArtifactError when another writer holds the lease by now, or has finished the same artifact.
        """
        with self.lease.fenced():
            pass  # a writer that was fenced off long ago must not touch what its successor set aside
        _set_aside(self.folder / "scratch", _scratch_aside(self.final))
        for path in self.folder.rglob(".*.tmp"):
            path.unlink()
        files = self._listing()
        manifest = {
            "kind": self.kind,
            "fingerprint": self.fingerprint,
            "identity": identity.plain(),
            "parents": dict(parents),
            "source_digest": source_digest,
            "counts": dict(counts),
            "files": files,
            "content": content_hash(files),
        }
        with self.lease.fenced():
            for name in files:
                (self.folder / name).chmod(0o444)
                sync(self.folder / name)
            write_text_atomic(self.folder / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True) + "\n")
            (self.folder / MANIFEST).chmod(0o444)
            sync(self.folder)
            if self.final.exists():
                raise ArtifactError(f"{self.kind} {self.fingerprint[:12]}: already finished; nothing is published twice")
            self.folder.rename(self.final)
        sync(self.final.parent)
        if _scratch_aside(self.final).is_dir():
            remove_tree(_scratch_aside(self.final))
        return Artifact(self.kind, self.fingerprint, self.final, manifest)

    def _listing(self) -> dict[str, dict[str, Any]]:
        for path in self.folder.rglob("*"):
            assert not path.is_symlink(), f"{path} is a link: a stage copies what its artifact is made of"
        try:
            return listing(self.folder)
        except FileNotFoundError:
            with self.lease.fenced():  # most likely the folder was taken over while it was being read
                raise


@dataclass(frozen=True)
class Store:
    """All artifacts of one workspace, under `<root>/store` and `<root>/leases`."""

    root: Path  # the workspace's .whorl folder

    def find(self, kind: str, fingerprint: str) -> Artifact | None:
        """The finished artifact, or None."""
        path = self._path(kind, fingerprint)
        return _opened(path) if (path / MANIFEST).is_file() else None

    def open(self, kind: str, fingerprint: str) -> Artifact:
        """The finished artifact. Raises ArtifactError when it is absent or unfinished."""
        found = self.find(kind, fingerprint)
        if found is not None:
            return found
        partial = any(self._path(kind, fingerprint).parent.glob(f"{fingerprint}.*.partial"))
        state = "unfinished: run the recipe again to finish it" if partial else "not in this workspace: run the recipe"
        raise ArtifactError(f"{kind} {fingerprint[:12]}: {state}")

    def all(self) -> Iterator[Artifact]:
        """Every finished artifact, by kind and fingerprint."""
        for manifest in sorted((self.root / "store").glob(f"*/*/{MANIFEST}")):
            if "." not in manifest.parent.name:  # not .partial, not .doomed
                yield _opened(manifest.parent)

    def partials(self) -> list[Path]:
        """What interrupted writers and removals left, for gc and doctor: partial, set aside and doomed folders."""
        return sorted(path for path in (self.root / "store").glob("*/*.*") if path.is_dir())

    def lease(self, kind: str, fingerprint: str) -> Lease:
        """The lease of an artifact; enter it before drafting."""
        return Lease(self.root / "leases" / f"{kind}-{fingerprint}.json")

    def draft(self, kind: str, fingerprint: str, lease: Lease) -> Draft:
        """The folder to write into, taking over what an earlier holder of the lease left.

        Its name carries the fencing token: a writer that lost its lease writes to a path that is gone.
        """
        final = self._path(kind, fingerprint)
        folder = final.with_name(f"{fingerprint}.{lease.token}.partial")
        final.parent.mkdir(parents=True, exist_ok=True)
        left = sorted(final.parent.glob(f"{fingerprint}.*.partial"), key=_token)
        for older in left[:-1]:
            remove_tree(older)
        if left and left[-1] != folder:
            left[-1].rename(folder)
        folder.mkdir(exist_ok=True)
        _reopen(folder, _scratch_aside(final))
        return Draft(kind, fingerprint, folder, final, lease)

    def remove(self, artifact: Artifact) -> None:
        """Delete a finished artifact: renamed first, so that no reader sees half of it."""
        doomed = artifact.path.with_name(f"{artifact.fingerprint}.doomed")
        if doomed.is_dir():  # a removal was interrupted, and the artifact made again since
            remove_tree(doomed)
        artifact.path.rename(doomed)
        remove_tree(doomed)

    def _path(self, kind: str, fingerprint: str) -> Path:
        assert kind in KINDS, f"unknown artifact kind {kind}"
        return self.root / "store" / kind / fingerprint


def remove_tree(folder: Path) -> None:
    """Delete a folder whose files may be read-only."""
    _make_writable(folder)
    shutil.rmtree(folder)


def _make_writable(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)


def write_text_atomic(path: Path, text: str) -> None:
    """Replace a small file in one step: a reader, or a crash, sees the old text or the new."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _opened(path: Path) -> Artifact:
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArtifactError(f"{path / MANIFEST}: not valid JSON ({error}); the folder was altered from outside") from error
    missing = [key for key in _MANIFEST_KEYS if not isinstance(manifest, dict) or key not in manifest]
    if missing:
        raise ArtifactError(f"{path / MANIFEST}: no {', '.join(missing)}; the folder was altered from outside")
    return Artifact(manifest["kind"], manifest["fingerprint"], path, manifest)


def _payload(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in _NOT_PAYLOAD and path.suffix != ".html":
            yield name


def listing(folder: Path) -> dict[str, dict[str, Any]]:
    """Hash and size of every payload file of a folder: all but the manifest and HTML pages."""
    return {name: {"sha256": file_sha256(folder / name), "bytes": (folder / name).stat().st_size} for name in _payload(folder)}


def content_hash(files: Mapping[str, Mapping[str, Any]]) -> str:
    """One hash over the names and hashes of a listing."""
    return digest({name: entry["sha256"] for name, entry in files.items()})


def _scratch_aside(final: Path) -> Path:
    """Where resume state waits while its draft is being published: it may go only after the rename."""
    return final.with_name(f"{final.name}.scratch")


def _set_aside(scratch: Path, aside: Path) -> None:
    if scratch.is_dir():
        if aside.is_dir():
            remove_tree(aside)
        scratch.rename(aside)


def _reopen(folder: Path, aside: Path) -> None:
    """Undo the half of publishing that a crash may have left: read-only files, a manifest, resume state set aside."""
    _make_writable(folder)
    (folder / MANIFEST).unlink(missing_ok=True)
    if aside.is_dir() and not (folder / "scratch").exists():
        aside.rename(folder / "scratch")


def _token(partial: Path) -> int:
    match = re.search(r"\.(\d+)\.partial$", partial.name)
    return int(match.group(1)) if match else 0


def sync(path: Path) -> None:
    """Ask the kernel to put a file or a folder's entries on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
