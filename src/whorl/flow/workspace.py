"""flow/workspace: the `.whorl` folder beside a recipe: store, runs, names, pins. All of it is relative and can be moved.

Does not decide what to run.
"""

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from whorl.core.artifact import Artifact, Store, write_text_atomic
from whorl.core.errors import ArtifactError, suggestion

__all__ = ["Named", "Workspace"]


class Named(NamedTuple):
    """One version of a name."""

    name: str
    version: int
    kind: str
    fingerprint: str

    @property
    def address(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class Workspace:
    """A project folder and what whorl keeps in its `.whorl`."""

    root: Path

    @property
    def home(self) -> Path:
        """The `.whorl` folder."""
        return self.root / ".whorl"

    @property
    def store(self) -> Store:
        """Finished artifacts."""
        return Store(self.home)

    @property
    def events_path(self) -> Path:
        """The event database over all runs."""
        return self.home / "events.sqlite"

    def run_folder(self, run: str) -> Path:
        """Where one run keeps its events, resolved recipe and pages."""
        return self.home / "runs" / run

    def runs(self) -> list[str]:
        """Run ids, oldest first."""
        return sorted(path.name for path in (self.home / "runs").glob("*") if path.is_dir())

    def names(self) -> list[Named]:
        """Every version of every name, oldest first per name."""
        table = _read_json(self.home / "names.json")
        return [
            Named(name, int(version), entry["kind"], entry["fingerprint"])
            for name, versions in table.items()
            for version, entry in sorted(versions.items(), key=lambda item: int(item[0]))
        ]

    def latest(self, name: str) -> Named | None:
        """The newest version of a name."""
        versions = [named for named in self.names() if named.name == name]
        return versions[-1] if versions else None

    def set_name(self, name: str, artifact: Artifact) -> Named:
        """Let `name` point at an artifact: an old version if it is one, else a new version."""
        named: list[Named] = []

        def change(table: dict[str, Any]) -> None:
            versions = table.setdefault(name, {})
            again = [v for v, e in versions.items() if e["fingerprint"] == artifact.fingerprint and e["kind"] == artifact.kind]
            version = max((int(v) for v in versions), default=0)
            if not again or int(again[0]) != version:
                version += 1
                versions[str(version)] = {"kind": artifact.kind, "fingerprint": artifact.fingerprint}
            named.append(Named(name, version, artifact.kind, artifact.fingerprint))

        self._update("names.json", change)
        return named[0]

    def pins(self, stage: str, written: Mapping[str, str]) -> dict[str, str]:
        """Values pinned for a stage, as long as what the recipe says is still what it said then."""
        pinned = _read_json(self.home / "pins.json").get(stage, {})
        return {f: entry["value"] for f, entry in pinned.items() if f in written and written[f] == entry["written"]}

    def set_pins(self, stage: str, written: Mapping[str, str], values: Mapping[str, str]) -> None:
        """Keep measured values until the recipe says something else."""

        def change(table: dict[str, Any]) -> None:
            table[stage] = {name: {"written": written[name], "value": value} for name, value in values.items()}

        self._update("pins.json", change)

    def find(self, address: str) -> Artifact:
        """The artifact called `name`, `name@version`, or by the first digits of a fingerprint. Raises ArtifactError."""
        name, _, version = address.partition("@")
        versions = [n for n in self.names() if n.name == name and (not version or str(n.version) == version)]
        if versions:
            return self.store.open(versions[-1].kind, versions[-1].fingerprint)
        if len(address) >= 6:
            matches = [a for a in self.store.all() if a.fingerprint.startswith(address)]
            if len(matches) == 1 or (matches and len({a.fingerprint for a in matches}) == 1):
                return min(matches, key=lambda a: a.kind == "state")
        known = sorted({n.name for n in self.names()})
        raise ArtifactError(f"nothing called '{address}' in {self.root}{suggestion(name, known)}")

    def _update(self, filename: str, change: Callable[[dict[str, Any]], None]) -> None:
        with self._locked(filename):
            table = _read_json(self.home / filename)
            change(table)
            write_text_atomic(self.home / filename, json.dumps(table, indent=1, sort_keys=True) + "\n")

    @contextmanager
    def _locked(self, filename: str) -> Iterator[None]:
        folder = self.home / "leases"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{filename}.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        table: dict[str, Any] = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ArtifactError(f"{path}: not valid JSON ({error}); restore it or delete it") from error
    return table
