"""corpus/files: find the files a pattern means, and read one as text or say why not.

A file that cannot be read is still found: the source that reads it records the reason. Symbolic links to folders are not
followed below `**`, so a loop of them ends.
"""

from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import NamedTuple

from whorl.core.artifact import file_sha256
from whorl.core.canonical import digest

__all__ = ["Unit", "Unreadable", "content_hash", "find_units", "read_bytes", "read_text", "size_of", "walk"]

_MAGIC = frozenset("*?[")


class Unit(NamedTuple):
    """One file of a source. `name` does not depend on where the project lies."""

    name: str
    path: Path
    size_bytes: int


class Unreadable(Exception):  # noqa: N818 - a finding about a file, recorded in the ledger, never shown as an error
    """Why a file, or a line of one, cannot become text."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def find_units(root: Path, pattern: str, name: str = "") -> list[Unit]:
    """Files a glob pattern matches, by name. Relative patterns start at `root`; names start where the pattern gets magic."""
    fixed, magic = _split_pattern(root / pattern)
    found = sorted(fixed.glob(magic)) if magic else [fixed]
    prefix = f"{name}/" if name else ""
    units = [Unit(f"{prefix}{_name_below(path, fixed)}", path, size_of(path)) for path in found if not path.is_dir()]
    return [unit for unit in units if magic or unit.path.is_symlink() or unit.path.exists()]


def content_hash(units: list[Unit]) -> str:
    """Hash of the names and contents of files; an unreadable file counts as such."""
    return digest([[unit.name, _file_hash(unit)] for unit in units])


def read_bytes(unit: Unit, max_bytes: int) -> bytes:
    """The file's bytes. Raises Unreadable: `unreadable`, `too_large` or `empty`."""
    if unit.size_bytes > max_bytes:
        raise Unreadable("too_large", f"{unit.size_bytes} bytes, want at most {max_bytes}")
    try:
        data = unit.path.read_bytes()
    except OSError as error:
        raise Unreadable("unreadable", error.strerror or type(error).__name__) from error
    if not data.strip():
        raise Unreadable("empty", f"{len(data)} bytes")
    return data


def read_text(unit: Unit, max_bytes: int) -> str:
    """The file as UTF-8 text, a byte order mark removed. Raises Unreadable: also `not_utf8` or `has_nul` (likely binary)."""
    data = read_bytes(unit, max_bytes)
    if b"\x00" in data:
        raise Unreadable("has_nul", f"at byte {data.index(0)}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable("not_utf8", f"at byte {error.start}: {error.reason}") from error


def _split_pattern(pattern: Path) -> tuple[Path, str]:
    """The longest leading folder without magic, and the rest of the pattern (empty: the pattern is one file)."""
    parts = pattern.parts
    first = next((i for i, part in enumerate(parts) if _MAGIC & set(part)), len(parts))
    return Path(*parts[:first]), str(PurePath(*parts[first:])) if first < len(parts) else ""


def _name_below(path: Path, fixed: Path) -> str:
    return path.relative_to(fixed).as_posix() if path != fixed else path.name


def size_of(path: Path) -> int:
    """Bytes of a file; 0 when it cannot be read."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _file_hash(unit: Unit) -> str:
    try:
        return file_sha256(unit.path)
    except OSError as error:
        return f"unreadable: {error.strerror}"


def walk(folder: Path, suffix: str, *, skip: frozenset[str]) -> Iterator[Path]:
    """Files below a folder with a suffix, sorted, without entering folders of the names in `skip` or links to folders."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name not in skip and not path.is_symlink():
                yield from walk(path, suffix, skip=skip)
        elif path.suffix == suffix:
            yield path
