"""corpus/unpack: compressed streams read piece by piece, with an end to how much may come out.

gzip (also of many members), zstd, bzip2 and xz, by the file's suffix; what has none of these is read as it is. Memory holds one
piece, whatever the stream unpacks to. Everything before damage is handed over before the damage is reported. Does not open
archives of several files (zip, tar).
"""

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any, BinaryIO, Protocol

import pyarrow as pa

from whorl.core.errors import ResourceError

__all__ = ["SUFFIXES", "Unreadable", "is_packed", "unpacked"]

_PIECE = 262_144
_RATIO_FROM = 16_000_000  # bytes out before the ratio counts: a short file of one repeated line is no bomb
_ZSTD_PIECE = 65_536
_ZSTD_DICTIONARY = b"\x5d\x2a\x4d\x18"  # https://iipc.github.io/warc-specifications/specifications/warc-zstd/


class Unreadable(Exception):  # noqa: N818 - a finding about a file, recorded in the ledger, never shown as an error
    """Why a file, or a part of one, cannot become text."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def is_packed(name: str) -> bool:
    """Whether a file of this name is read through a decompressor."""
    return PurePath(name).suffix.lower() in SUFFIXES


def unpacked(raw: BinaryIO, name: str, *, max_bytes: int, max_ratio: float) -> BinaryIO:
    """The content of a stream that is compressed as its name says; closes `raw` with itself.

    Reading raises Unreadable: `bomb` once more than `max_bytes`, or (past the first 16 MB) more than `max_ratio` times what
    went in, has come out of a compressed stream; `truncated` or `damaged`; `unreadable` when the disk says so.
    """
    metered = _Metered(raw)
    opened = SUFFIXES.get(PurePath(name).suffix.lower())
    if opened is None:
        return io.BufferedReader(metered, _PIECE)
    limited = _Limited(opened(metered), metered, max_bytes=max_bytes, max_ratio=max_ratio)
    return io.BufferedReader(limited, _PIECE)


class _Metered(io.RawIOBase):
    """Raw bytes, counted; a fault of the disk becomes Unreadable."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.num_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        try:
            piece = self._raw.read(len(buffer))
        except OSError as error:
            raise Unreadable("unreadable", f"after {self.num_bytes} bytes: {error.strerror or error}") from error
        buffer[: len(piece)] = piece
        self.num_bytes += len(piece)
        return len(piece)

    def seekable(self) -> bool:
        return self._raw.seekable()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self.num_bytes = self._raw.seek(offset, whence)
        return self.num_bytes

    def tell(self) -> int:
        return self.num_bytes

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Decoder(Protocol):
    """Gives the next piece of at most `size` bytes; empty only at the end. Raises Unreadable at damage."""

    def piece(self, size: int) -> bytes: ...


class _Limited(io.RawIOBase):
    """What a decoder gives, counted against its limits."""

    def __init__(self, decoder: _Decoder, metered: _Metered, *, max_bytes: int, max_ratio: float) -> None:
        self._decoder = decoder
        self._metered = metered
        self._max_bytes = max_bytes
        self._max_ratio = max_ratio
        self._num_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        piece = self._decoder.piece(len(buffer))
        buffer[: len(piece)] = piece
        self._num_bytes += len(piece)
        read = self._metered.num_bytes
        if self._num_bytes > self._max_bytes:
            raise Unreadable("bomb", f"more than {self._max_bytes} bytes out of {read}")
        if self._num_bytes > _RATIO_FROM and self._num_bytes > self._max_ratio * read:
            raise Unreadable("bomb", f"{self._num_bytes} bytes out of {read}, more than {self._max_ratio:g} for one")
        return len(piece)

    def close(self) -> None:
        self._metered.close()
        super().close()


class _Incremental(Protocol):
    """What decompressors of the standard library have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Members:
    """Compressed members one after another, as gzip, bzip2 and xz allow; zero bytes between and after them are padding."""

    def __init__(self, raw: _Metered, member: Callable[[], _Incremental]) -> None:
        self._raw = raw
        self._new = member
        self._member: _Incremental | None = None
        self._waiting = b""

    def piece(self, size: int) -> bytes:
        while True:
            if self._member is None and not self._begin():
                return b""
            assert self._member is not None, "a member was begun"
            data = self._advance(self._member, size)
            if self._member.eof:
                self._waiting = self._member.unused_data
                self._member = None
            if data:
                return data

    def _begin(self) -> bool:
        """Start the next member, if there is anything but padding."""
        while not (waiting := self._waiting.lstrip(b"\0")):
            self._waiting = self._raw.read(_PIECE) or b""
            if not self._waiting:
                return False
        self._waiting = waiting
        self._member = self._new()
        return True

    def _advance(self, member: _Incremental, size: int) -> bytes:
        given = b""
        if member.needs_input:
            given = self._waiting or self._raw.read(_PIECE) or b""
            self._waiting = b""
        try:
            data = member.decompress(given, size)
        except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
            raise Unreadable("damaged", f"near byte {self._raw.num_bytes}: {error}") from error
        if member.needs_input and not given and not data and not member.eof:
            raise Unreadable("truncated", f"ends inside a compressed member after {self._raw.num_bytes} bytes")
        return data


class _GzipMember:
    """zlib with the interface of the other decompressors: it keeps what it could not use yet."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._is_full = False  # the last piece was as long as it might be: there may be more inside

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail and not self._is_full

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        piece = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self._is_full = len(piece) == max_length
        return piece


class _Zstd:
    """Frames of zstd; a leading dictionary, as web archives have it, needs the extra `web`."""

    def __init__(self, raw: _Metered) -> None:
        self._raw = raw
        self._source = _zstd(raw)
        self._num_bytes = 0  # handed out
        self._fault: Unreadable | None = None

    def piece(self, size: int) -> bytes:
        if self._fault is not None:
            raise self._fault
        try:
            data = bytes(self._source.read(min(size, _ZSTD_PIECE)))
        except OSError as error:
            is_cut = "truncated" in str(error).lower() or "incomplete" in str(error).lower()
            self._fault = Unreadable("truncated" if is_cut else "damaged", f"near byte {self._raw.num_bytes}: {error}")
            data = self._last()
            if not data:
                raise self._fault from error
        self._num_bytes += len(data)
        return data

    def _last(self) -> bytes:
        """What the failing call had before the damage and lost: unpacked again, byte by byte from where it began."""
        self._raw.seek(0)
        source = _zstd(self._raw)
        left = self._num_bytes
        data = bytearray()
        try:
            while left:
                left -= len(source.read(min(left, _ZSTD_PIECE)))
            while byte := source.read(1):
                data += byte
        except OSError:  # the damage itself, met again
            return bytes(data)
        return bytes(data)


def _zstd(raw: _Metered) -> Any:  # noqa: ANN401 - a stream of pyarrow or fastwarc, which have no types
    buffered: Any = io.BufferedReader(raw, _PIECE)
    if buffered.peek(4)[:4] != _ZSTD_DICTIONARY:
        return pa.CompressedInputStream(pa.PythonFile(buffered, mode="r"), "zstd")
    try:
        from fastwarc.stream_io import ZstdReader  # noqa: PLC0415 - optional
    except ImportError as error:
        raise ResourceError("this zstd file begins with a dictionary; reading it needs: pip install 'whorl[web]'") from error
    return ZstdReader(buffered)


def _gzip(raw: _Metered) -> _Decoder:
    return _Members(raw, _GzipMember)


def _bzip2(raw: _Metered) -> _Decoder:
    return _Members(raw, bz2.BZ2Decompressor)


def _xz(raw: _Metered) -> _Decoder:
    return _Members(raw, lzma.LZMADecompressor)


SUFFIXES: Mapping[str, Callable[[_Metered], _Decoder]] = {".gz": _gzip, ".zst": _Zstd, ".bz2": _bzip2, ".xz": _xz}
