"""corpus/sources/hf_datasets/hub_files: files on a hub as fsspec opens them, one range of bytes at a time.

An address holds all there is to know of a file at a commit: `hub+https://host/datasets/org/name/resolve/COMMIT/path?content=
HASH&size=BYTES`, so that a worker process needs no listing. Read only.
"""

import io
from typing import Any
from urllib.parse import parse_qs, urlencode

import fsspec

from whorl.corpus.sources.hf_datasets.hub import ranged

__all__ = ["PROTOCOLS", "HubFiles", "hub_address", "know_hub_files"]

PROTOCOLS = ("hub+https", "hub+http")
_BLOCK = 4_194_304  # bytes asked for at least


def know_hub_files() -> None:
    """Let fsspec open addresses of this kind in this process."""
    for protocol in PROTOCOLS:
        fsspec.register_implementation(protocol, HubFiles, clobber=True)


def hub_address(address: str, *, size_bytes: int, content: str) -> str:
    """The address under which fsspec opens what is served at `address`."""
    return f"hub+{address}?{urlencode({'content': content, 'size': size_bytes})}"


class HubFiles(fsspec.AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """See fsspec.AbstractFileSystem."""

    protocol = PROTOCOLS
    cachable = False

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path

    def info(self, path: str, **_options: object) -> dict[str, Any]:
        """Size and hash, as the address has them."""
        _, _, query = path.partition("?")
        known = parse_qs(query)
        return {"name": path, "type": "file", "size": int(known["size"][0]), "ETag": known["content"][0]}

    def open(self, path: str, mode: str = "rb", **_options: object) -> io.BufferedReader:
        """The file, read as it is asked for."""
        assert mode == "rb", "files on a hub are read only"
        address = path.removeprefix("hub+").partition("?")[0]
        return io.BufferedReader(_Ranges(address, self.info(path)["size"]), _BLOCK)


class _Ranges(io.RawIOBase):
    """A file of known size behind requests for ranges."""

    def __init__(self, address: str, size_bytes: int) -> None:
        self._address = address
        self._size = size_bytes
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        end = min(self._place + len(buffer), self._size)
        if end <= self._place:
            return 0
        data = ranged(self._address, self._place, end, size_bytes=self._size)
        buffer[: len(data)] = data
        self._place = end
        return len(data)
