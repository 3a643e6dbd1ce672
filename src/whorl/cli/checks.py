"""cli/checks: what `doctor` looks at: this machine and one workspace; each finding says how it is and what would help.

Loads torch and flow, so it is loaded only when asked. Changes nothing.
"""

import json
import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, NamedTuple, cast

from whorl.cli.drawing import size
from whorl.core.door import load
from whorl.core.errors import WhorlError
from whorl.core.lease import Owner
from whorl.flow.recipe import load_recipe
from whorl.flow.workspace import Workspace

__all__ = ["Finding", "findings"]

_ENOUGH_MEMORY_BYTES = 3 * 10**9  # the demo peaks below 2 GB; the rest is for the system
_ENOUGH_DISK_BYTES = 5 * 10**9
_PYTHONS = ((3, 11), (3, 13))


class Finding(NamedTuple):
    """One thing looked at."""

    what: str
    state: Literal["ok", "warn", "fail"]
    says: str
    fix: str = ""  # what to do about it; empty when all is well


def findings(project: Path, trust: Sequence[str] = ()) -> Iterator[Finding]:
    """Machine first, then the workspace of the project folder; `trust` as for reading its recipe."""
    for look in (_python, _torch, _precision, _cores, _memory):
        yield look()
    yield _disk(project)
    workspace = Workspace(project.resolve())
    if not workspace.home.is_dir():
        yield Finding("workspace", "ok", f"none in {workspace.root} yet")
        return
    yield from _workspace(workspace, trust)


def _python() -> Finding:
    says = f"{platform.python_version()} in {sys.prefix}"
    lowest, highest = _PYTHONS
    if not lowest <= sys.version_info[:2] <= highest:
        wanted = " to ".join(".".join(map(str, pair)) for pair in _PYTHONS)
        return Finding("python", "warn", says, f"whorl is tested on Python {wanted}")
    return Finding("python", "ok", says)


def _torch() -> Finding:
    try:
        found = version("torch")
        load("torch")
    except (PackageNotFoundError, ImportError, OSError) as error:
        return Finding("torch", "fail", f"cannot be loaded: {error}", "install it again: pip install 'torch>=2.11,<2.14'")
    return Finding("torch", "ok", found)


def _precision() -> Finding:
    try:
        device = cast("Callable[[], tuple[str, str]]", load("whorl.model.parallel:pick_device"))()
        dtype = cast("Callable[..., tuple[str, str]]", load("whorl.model.parallel:pick_dtype"))("auto", device[0])
    except (ImportError, OSError) as error:
        return Finding("precision", "fail", f"not known without torch: {error}", "see torch above")
    slow = "training in fp32 takes about twice as long; nothing to be done on this machine" if dtype[0] == "fp32" else ""
    return Finding("precision", "warn" if slow else "ok", f"{dtype[0]} on {device[0]}: {dtype[1]}", slow)


def _cores() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores < 2:
        return Finding("cores", "warn", "1", "everything works, more slowly; two or more cores help most")
    return Finding("cores", "ok", str(cores))


def _memory() -> Finding:
    free = _free_memory_bytes()
    if free is None:
        return Finding("memory", "ok", "not measured on this system")
    if free < _ENOUGH_MEMORY_BYTES:
        return Finding("memory", "warn", f"{size(free)} free", f"the demo wants {size(_ENOUGH_MEMORY_BYTES)}; close something")
    return Finding("memory", "ok", f"{size(free)} free")


def _free_memory_bytes() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None
    return min(free, _container_room_bytes() or free)


def _container_room_bytes() -> int | None:
    """What a memory limit on this container leaves; None where there is none."""
    folder = Path("/sys/fs/cgroup")
    try:
        return int((folder / "memory.max").read_text()) - int((folder / "memory.current").read_text())
    except (OSError, ValueError):
        return None


def _disk(project: Path) -> Finding:
    there = next(folder for folder in (project.resolve(), *project.resolve().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if free < _ENOUGH_DISK_BYTES:
        return Finding("disk", "warn", f"{size(free)} free at {there}", "see what can go: whorl gc")
    return Finding("disk", "ok", f"{size(free)} free at {there}")


def _workspace(workspace: Workspace, trust: Sequence[str]) -> Iterator[Finding]:
    looks: Mapping[str, Callable[[Workspace], Finding]] = {
        "events": _events_database,
        "store": _store,
        "leases": _leases,
        "unfinished": _unfinished,
        "names": _names,
    }
    for what, look in looks.items():
        try:
            yield look(workspace)
        except WhorlError as error:
            yield Finding(what, "fail", str(error), "remove or restore what it names; a run makes artifacts again")
    yield _recipe(workspace, trust)


def _events_database(workspace: Workspace) -> Finding:
    if not workspace.events_path.is_file():
        return Finding("events", "ok", "no run yet")
    fix = f"move {workspace.events_path} away: estimates start anew, artifacts are not touched"
    try:
        with closing(sqlite3.connect(f"file:{workspace.events_path}?mode=ro", uri=True)) as db:
            [verdict] = db.execute("pragma quick_check").fetchone()
            [count] = db.execute("select count(*) from events").fetchone()
    except sqlite3.Error as error:
        return Finding("events", "fail", f"{workspace.events_path.name} cannot be read: {error}", fix)
    if verdict != "ok":
        return Finding("events", "fail", f"{workspace.events_path.name}: {verdict}", fix)
    return Finding("events", "ok", f"{count:,} events of {len(workspace.runs())} runs")


def _store(workspace: Workspace) -> Finding:
    count = sum(1 for _ in workspace.store.all())
    return Finding("store", "ok", f"{count} artifacts; hashes not recomputed here: whorl verify does")


def _leases(workspace: Workspace) -> Finding:
    held = {path.stem: owner for path in (workspace.home / "leases").glob("*.json") if (owner := _owner(path)).pid}
    stale = [name for name, owner in held.items() if not owner.is_alive]
    if stale:
        says = f"{len(stale)} of dead processes ({stale[0][:24]} ...)"
        return Finding("leases", "ok", f"{says}; the next run takes them over by itself")
    return Finding("leases", "ok", f"{len(held)} held" if held else "none held")


def _owner(path: Path) -> Owner:
    text = path.read_text()
    return Owner(**json.loads(text)) if text else Owner("", 0, "", 0, 0.0)


def _unfinished(workspace: Workspace) -> Finding:
    left = [path for path in workspace.store.partials() if not _is_written(workspace, path)]
    if not left:
        return Finding("unfinished", "ok", "none")
    total = sum(file.stat().st_size for path in left for file in path.rglob("*") if file.is_file())
    says = f"{len(left)} folders, {size(total)}"
    return Finding("unfinished", "warn", says, "finish them: whorl run; or free them: whorl gc --apply")


def _is_written(workspace: Workspace, partial: Path) -> bool:
    lease = workspace.store.lease(partial.parent.name, partial.name.partition(".")[0]).path
    owner = _owner(lease) if lease.is_file() else None
    return owner is not None and bool(owner.pid) and owner.is_alive


def _names(workspace: Workspace) -> Finding:
    newest = {named.name: named for named in workspace.names()}
    gone = [one.address for one in newest.values() if workspace.store.find(one.kind, one.fingerprint) is None]
    if gone:
        return Finding("names", "warn", f"{', '.join(gone)}: not in the store any more", "make them again: whorl run")
    return Finding("names", "ok", f"{len(newest)}")


def _recipe(workspace: Workspace, trust: Sequence[str]) -> Finding:
    if not (workspace.root / "recipe.yaml").is_file():
        return Finding("recipe", "ok", "no recipe.yaml in this folder")
    try:
        recipe = load_recipe(workspace.root, trust=trust)
    except WhorlError as error:
        return Finding("recipe", "fail", str(error), "correct it; 'whorl config schema' says what is possible")
    return Finding("recipe", "ok", f"{recipe.name}: {len(recipe.stages)} stages")
