"""flow/resolve: what each stage of a recipe is, given what this workspace holds: settled config, inputs, identity.

References become content hashes here. A stage whose parent is not made yet has no identity. Makes nothing.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import whorl
from whorl.core.artifact import Artifact, Identity, content_hash, file_sha256, listing
from whorl.core.canonical import digest, plain
from whorl.core.config import Ref, refs_in
from whorl.core.errors import ArtifactError, ConfigError
from whorl.core.stage import Stage
from whorl.flow.recipe import Recipe
from whorl.flow.workspace import Workspace

__all__ = ["Resolved", "adopted_fingerprint", "path_listing", "resolve", "source_digest"]

_BELOW_THE_ROOMS = ("core", "text", "tokens", "model", "tasks", "measure", "infer", "index")


@dataclass(frozen=True)
class Resolved:
    """One stage of a recipe against a workspace."""

    name: str
    stage: Stage  # settled
    inputs: Mapping[str, Artifact]  # reference target -> finished artifact; paths to adopt may be missing until the run
    identity: Identity | None  # None while a parent is not made
    missing: tuple[str, ...] = ()  # parents not made yet
    to_pin: Mapping[str, str] = field(default_factory=dict)  # fields still to be measured on this machine
    artifact: Artifact | None = None  # the finished result, when it is there with all its siblings

    @property
    def fingerprint(self) -> str | None:
        """The artifact's address once it is known."""
        return self.identity.fingerprint if self.identity else None


def resolve(recipe: Recipe, name: str, workspace: Workspace, made: Mapping[str, Artifact]) -> Resolved:
    """Resolve one stage. `made` holds the artifacts of recipe stages that are up to date, by stage name."""
    written = recipe.stages[name].to_pin()
    pins = workspace.pins(name, written)
    to_pin = {field: text for field, text in written.items() if field not in pins}
    stage = recipe.stages[name] if to_pin else recipe.stages[name].settled(pins)
    inputs: dict[str, Artifact] = {}
    contents: dict[str, str] = {}
    missing: list[str] = []
    for place, ref in refs_in(stage):
        if ref.target in recipe.stages and ref.target not in made:
            missing.append(ref.target)
            continue
        artifact, content = _input(ref, workspace, made)
        contents[place] = content
        if artifact is not None:
            inputs[ref.target] = artifact
    missing = list(dict.fromkeys(missing))
    if missing or to_pin:
        return Resolved(name, stage, inputs, None, tuple(missing), to_pin)
    contents.update({f"raw.{place}": content for place, content in stage.raw_inputs(workspace.root).items()})
    identity = Identity(
        stage=stage.use,
        code_version=type(stage).code_version,
        config=plain(stage, hashed_only=True),
        inputs=contents,
        seed=recipe.seed if type(stage).is_seeded else None,
    )
    return Resolved(name, stage, inputs, identity, artifact=_finished(workspace, stage, identity.fingerprint))


def _input(ref: "Ref[Any]", workspace: Workspace, made: Mapping[str, Artifact]) -> tuple[Artifact | None, str]:
    if ref.target in made:
        return made[ref.target], made[ref.target].content
    if ref.is_path:
        files = path_listing(workspace.root / ref.target)
        kind = _one_kind(ref)
        return workspace.store.find(kind, adopted_fingerprint(kind, content_hash(files))), content_hash(files)
    artifact = workspace.find(ref.target)
    if ref.kinds and artifact.kind not in ref.kinds:
        raise ConfigError(f"{ref.target} is {artifact.kind}, wanted {' or '.join(ref.kinds)}")
    return artifact, artifact.content


def _one_kind(ref: "Ref[Any]") -> str:
    if len(ref.kinds) != 1:
        wanted = " or ".join(ref.kinds)
        raise ConfigError(f"path '{ref.target}': say what it is: {{use: KIND, path: {ref.target}}} with KIND {wanted}")
    return ref.kinds[0]


def path_listing(path: Path) -> dict[str, dict[str, Any]]:
    """Hash and size of a file, or of every payload file of a folder. Raises ArtifactError when there is nothing."""
    if path.is_file():
        return {path.name: {"sha256": file_sha256(path), "bytes": path.stat().st_size}}
    files = listing(path) if path.is_dir() else {}
    if not files:
        raise ArtifactError(f"{path}: nothing there to adopt; want a file or a folder with files")
    return files


def adopted_fingerprint(kind: str, content: str) -> str:
    """The address of something brought in from outside: a function of its kind and content alone."""
    return digest({"adopted": kind, "content": content})


def _finished(workspace: Workspace, stage: Stage, fingerprint: str) -> Artifact | None:
    kinds = (*type(stage).also_makes, type(stage).makes)
    found = [workspace.store.find(kind, fingerprint) for kind in kinds]
    return found[-1] if all(artifact is not None for artifact in found) else None


def source_digest(stage: Stage) -> str:
    """Hash of the Python source a stage may run: its own room and everything below the rooms, so that drift is noticed."""
    package, _, rest = type(stage).__module__.partition(".")
    house = Path(whorl.__path__[0])
    own = rest.partition(".")[0]
    if package != "whorl" or not (house / own).is_dir():
        return "not recorded"
    folders = (house / part for part in (*_BELOW_THE_ROOMS, own))
    return hashlib.sha256("".join(_folder_source(folder) for folder in folders).encode()).hexdigest()


@lru_cache(maxsize=32)
def _folder_source(folder: Path) -> str:
    return "".join(file_sha256(path) for path in sorted(folder.rglob("*.py")))
