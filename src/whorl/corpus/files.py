"""corpus/files: find the files a pattern means, and read one as bytes or text, or say why not.

A local file that cannot be read is still found: the source that reads it records the reason. Symbolic links to folders are not
followed below `**`, so a loop of them ends; they are found, and recorded, too. A pattern with `://` goes to corpus/remote.
"""

import os
import stat
from collections.abc import Iterator, MutableMapping, Sequence
from pathlib import Path, PurePath
from typing import Any, BinaryIO, NamedTuple

from whorl.core.artifact import file_sha256
from whorl.core.canonical import digest
from whorl.corpus.remote import find_remote, open_remote, remote_hash
from whorl.corpus.unpack import Unreadable, is_packed, unpacked

__all__ = [
    "Unit",
    "Unreadable",
    "content_hash",
    "find_units",
    "open_decoded",
    "open_raw",
    "read_bytes",
    "read_text",
    "size_of",
    "walk",
]

_MAGIC = frozenset("*?[")
_AHEAD = 1_000_000  # what a stream may unpack beyond what it was asked for


class Unit(NamedTuple):
    """One file of a source. `name` does not depend on where the project lies."""

    name: str
    path: Path
    size_bytes: int
    url: str = ""  # of a file read through fsspec; its `path` is only a name
    beside: tuple["Unit", ...] = ()  # other files that reading this one needs


def find_units(root: Path, pattern: str, name: str = "") -> list[Unit]:
    """Files a glob pattern matches, by name. Relative patterns start at `root`; names start where the pattern gets magic.

    A folder is found where the pattern names a suffix (`*.jsonl`) and the folder has it: nothing reads it, but it is recorded.
    """
    prefix = f"{name}/" if name else ""
    if "://" in pattern and not pattern.startswith("file://"):
        return [Unit(prefix + found.name, Path(found.name), found.size_bytes, found.url) for found in find_remote(pattern)]
    fixed, magic = _split_pattern(root / pattern.removeprefix("file://"))
    if not magic:
        is_there = fixed.is_symlink() or fixed.exists()
        return [Unit(prefix + _legible(fixed.name), fixed, size_of(fixed))] if is_there and not fixed.is_dir() else []
    keeps_folders = bool(PurePath(magic).suffix)
    found = {path for path in fixed.glob(magic) if keeps_folders or not path.is_dir()} | set(_not_entered(fixed, magic))
    return [Unit(prefix + _legible(path.relative_to(fixed).as_posix()), path, size_of(path)) for path in sorted(found)]


def content_hash(units: Sequence[Unit], known: MutableMapping[str, str] | None = None) -> str:
    """Hash of the names and contents of files; an unreadable file counts as such.

    `known` remembers the hashes of files that lie beside several units, so that each is read once.
    """
    known = {} if known is None else known
    return digest([_identity(unit, known) for unit in units])


def open_raw(unit: Unit) -> BinaryIO:
    """The file's bytes as they lie there. Raises Unreadable: `folder`, `special` (a pipe or device) or `unreadable`."""
    if unit.url:
        return open_remote(unit.url)
    try:
        mode = unit.path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise _not_a_file(unit.path, mode)
        return unit.path.open("rb")
    except OSError as error:
        raise Unreadable("unreadable", error.strerror or type(error).__name__) from error


def open_decoded(unit: Unit, *, max_bytes: int, max_ratio: float) -> BinaryIO:
    """The file's bytes, decompressed when its suffix is .gz, .zst, .bz2 or .xz. Raises as open_raw.

    The limits are those of `unpacked`, and hold for compressed files only: any other is as large as it is.
    """
    return unpacked(open_raw(unit), unit.name, max_bytes=max_bytes, max_ratio=max_ratio)


def read_bytes(unit: Unit, max_bytes: int, *, max_ratio: float = 200) -> bytes:
    """The whole file, decompressed. Raises Unreadable: as open_raw and unpacked, and `too_large` or `empty`."""
    if unit.size_bytes > max_bytes and not is_packed(unit.name):
        raise Unreadable("too_large", f"{unit.size_bytes} bytes, want at most {max_bytes}")
    with open_decoded(unit, max_bytes=max_bytes + _AHEAD, max_ratio=max_ratio) as stream:
        data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise Unreadable("too_large", f"more than {max_bytes} bytes")
    if not data or data.isspace():
        raise Unreadable("empty", f"{len(data)} bytes")
    return data


def read_text(unit: Unit, max_bytes: int, *, max_ratio: float = 200) -> str:
    """The file as UTF-8 text, a byte order mark removed. Raises Unreadable: also `not_utf8` or `has_nul` (likely binary)."""
    data = read_bytes(unit, max_bytes, max_ratio=max_ratio)
    if b"\x00" in data:
        raise Unreadable("has_nul", f"at byte {data.index(0)}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable("not_utf8", f"at byte {error.start}: {error.reason}") from error


def size_of(path: Path) -> int:
    """Bytes of a file; 0 when it is no file or cannot be read."""
    try:
        found = path.stat()
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def walk(folder: Path, suffix: str, *, skip: frozenset[str]) -> Iterator[Path]:
    """Files below a folder with a suffix, sorted, without entering folders of the names in `skip` or links to folders."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name not in skip and not path.is_symlink():
                yield from walk(path, suffix, skip=skip)
        elif path.suffix == suffix:
            yield path


def _split_pattern(pattern: Path) -> tuple[Path, str]:
    """The longest leading folder without magic, and the rest of the pattern (empty: the pattern is one file)."""
    parts = pattern.parts
    first = next((i for i, part in enumerate(parts) if _MAGIC & set(part)), len(parts))
    return Path(*parts[:first]), str(PurePath(*parts[first:])) if first < len(parts) else ""


def _legible(name: str) -> str:
    """A file name as text: bytes that are not UTF-8 are written as escapes."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")


def _not_entered(fixed: Path, magic: str) -> Iterator[Path]:
    """Below `**`: links to folders, which are not followed, and folders that may not be listed."""
    parts = PurePath(magic).parts
    if "**" not in parts:
        return
    above = parts[: parts.index("**")]
    refused: list[OSError] = []
    for start in fixed.glob(str(PurePath(*above))) if above else [fixed]:
        for folder, inner, _ in os.walk(start, onerror=refused.append):
            yield from (path for path in (Path(folder) / name for name in inner) if path.is_symlink())
    yield from (Path(error.filename) for error in refused if error.filename and Path(error.filename) != fixed)


def _not_a_file(path: Path, mode: int) -> Unreadable:
    if not stat.S_ISDIR(mode):
        return Unreadable("special", "a pipe, socket or device; want a file")
    if path.is_symlink():
        return Unreadable("folder", "a link to a folder is not followed; name the folder in path")
    return Unreadable("folder", "want a file; name what the folder holds in path")


def _identity(unit: Unit, known: MutableMapping[str, str]) -> list[Any]:
    own = [unit.name, _file_hash(unit)]
    return [*own, [[other.name, _known_hash(other, known)] for other in unit.beside]] if unit.beside else own


def _known_hash(unit: Unit, known: MutableMapping[str, str]) -> str:
    place = unit.url or str(unit.path)
    if place not in known:
        known[place] = _file_hash(unit)
    return known[place]


def _file_hash(unit: Unit) -> str:
    if unit.url:
        return remote_hash(unit.url)
    try:
        mode = unit.path.stat().st_mode
        return file_sha256(unit.path) if stat.S_ISREG(mode) else f"unreadable: {_not_a_file(unit.path, mode).reason}"
    except OSError as error:
        return f"unreadable: {error.strerror}"
