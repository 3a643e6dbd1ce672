"""corpus/remote: files that lie elsewhere, through fsspec: `memory://`, `s3://`, `https://`.

Whatever fails on the way is an error of the run, never a skipped file: what the network lost today is not missing from the
corpus tomorrow. A file counts by the strong validator its store gives (`ETag`, MD5, CRC32C); where there is none, by the
SHA-256 of its content, for which it is read once more. `--offline` closes this with the rest of the network.
"""

import hashlib
import io
from typing import Any, BinaryIO, NamedTuple, cast
from urllib.parse import urlsplit

import fsspec

from whorl.core.errors import DataError, ResourceError

__all__ = ["RemoteFile", "find_remote", "open_remote", "remote_hash"]

_MAGIC = frozenset("*?[")
_WEB = ("http://", "https://")
_VALIDATORS = ("ETag", "etag", "md5Hash", "content_md5", "Content-MD5", "crc32c", "sha256")


class RemoteFile(NamedTuple):
    """A file at an address; `name` begins where its pattern gets magic and holds no query, user or password."""

    name: str
    url: str
    size_bytes: int  # 0 where the store does not say


def find_remote(pattern: str) -> list[RemoteFile]:
    """Files a pattern matches, by name. Raises ResourceError when the store cannot be asked."""
    system, path = _file_system(pattern)
    marks = _MAGIC - {"?"} if pattern.startswith(_WEB) else _MAGIC  # a question mark begins the query of a web address
    parts = path.split("/")
    first = next((i for i, part in enumerate(parts) if marks & set(part)), len(parts))
    try:
        infos = system.glob(path, detail=True).values() if first < len(parts) else [system.info(path)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ResourceError(f"{_shown(pattern)}: cannot be listed ({_why(error)}); try again") from error
    fixed = "/".join(parts[: min(first, len(parts) - 1)])
    files = [info for info in infos if info.get("type") != "directory"]
    return sorted(_found(system, info, fixed) for info in files)


def open_remote(url: str) -> BinaryIO:
    """The bytes at an address. Raises ResourceError, now or while it is read."""
    system, path = _file_system(url)
    try:
        return cast("BinaryIO", io.BufferedReader(_Faithful(system.open(path, "rb"), _shown(url))))
    except OSError as error:
        raise ResourceError(f"{_shown(url)}: cannot be opened ({_why(error)}); try again") from error


def remote_hash(url: str) -> str:
    """What stands for the content of the file at an address. Raises ResourceError."""
    system, path = _file_system(url)
    try:
        info = system.info(path)
    except OSError as error:
        raise ResourceError(f"{_shown(url)}: cannot be asked for ({_why(error)}); try again") from error
    for key in _VALIDATORS:
        if info.get(key) and not str(info[key]).startswith("W/"):
            return f"{key}: {info[key]}"
    with open_remote(url) as handle:
        return hashlib.file_digest(cast("Any", handle), "sha256").hexdigest()


class _Faithful(io.RawIOBase):
    """A remote stream whose faults are errors of the run."""

    def __init__(self, inner: Any, shown: str) -> None:  # noqa: ANN401 - fsspec has no types
        self._inner = inner
        self._shown = shown

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        try:
            piece = self._inner.read(len(buffer))
        except OSError as error:
            raise ResourceError(f"{self._shown}: broke off ({_why(error)}); try again") from error
        buffer[: len(piece)] = piece
        return len(piece)

    def seekable(self) -> bool:
        return bool(self._inner.seekable())

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return int(self._inner.seek(offset, whence))

    def tell(self) -> int:
        return int(self._inner.tell())

    def close(self) -> None:
        self._inner.close()
        super().close()


def _found(system: Any, info: Any, fixed: str) -> RemoteFile:  # noqa: ANN401 - fsspec has no types
    place = str(info["name"])
    shown, above = (urlsplit(place).path, urlsplit(fixed).path) if place.startswith(_WEB) else (place, fixed)
    name = shown.removeprefix(above).strip("/") or "index"
    return RemoteFile(name, str(system.unstrip_protocol(place)), int(info.get("size") or 0))


def _file_system(url: str) -> tuple[Any, str]:
    if "::" in url:
        raise DataError(f"{_shown(url)}: an address inside another; want a plain one like s3://bucket/*.jsonl.gz")
    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise ResourceError(f"{_shown(url)}: {error}; install that package beside whorl") from error
    except ValueError as error:
        raise DataError(f"{_shown(url)}: {error}; want a local path or an address fsspec knows") from error
    return system, str(path)


def _shown(url: str) -> str:
    """An address without what may be secret in it: user, password and query."""
    protocol, _, rest = url.partition("://")
    return f"{protocol}://{rest.partition('?')[0].rpartition('@')[2]}"


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__
