"""corpus/http_message: an HTTP response as it was archived: status, headers, and the payload with its encodings taken off.

Archives lie about encodings: many store a body decoded under the headers it came with, so a body that does not look encoded is
taken as it is. Trusts no length it is told.
"""

import io
import re
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from whorl.core.errors import ResourceError
from whorl.corpus.unpack import Unreadable

__all__ = ["HttpMessage", "parse_http"]

_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})\b[^\n]*\n")
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(?:;[^\n]*)?\r?\n")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([^\s\"';,]+)", re.IGNORECASE)
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class HttpMessage(NamedTuple):
    """A response."""

    status: int
    headers: Sequence[tuple[str, str]]  # in order, as written
    payload: bytes

    def header(self, name: str) -> str:
        """The first header of a name; empty when there is none."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    @property
    def content_type(self) -> str:
        """Media type, lower case, without parameters."""
        return self.header("content-type").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """The charset the server declared."""
        match = _CHARSET.search(self.header("content-type"))
        return match[1] if match else None


def parse_http(data: bytes, max_payload: int) -> HttpMessage:
    """The response in a record's body.

    Raises Unreadable: `bad_http`, `too_large` once the payload unpacks to more than `max_payload` bytes, `bad_encoding`.
    """
    match = _STATUS.match(data)
    if match is None:
        raise Unreadable("bad_http", f"begins with {data[:40]!r}")
    headers, begin = _headers(data, match.end())
    message = HttpMessage(int(match[1]), headers, data[begin:])
    payload = message.payload
    if "chunked" in message.header("transfer-encoding").lower():
        payload = _dechunked(payload)
    for encoding in reversed(_listed(message.header("content-encoding"))):
        payload = _decoded(payload, encoding, max_payload)
    if len(payload) > max_payload:
        raise Unreadable("too_large", f"a page of {len(payload)} bytes, want at most {max_payload}")
    return message._replace(payload=payload)


def _headers(data: bytes, begin: int) -> tuple[list[tuple[str, str]], int]:
    """Header fields, and where the payload begins; the end of the data ends them too."""
    headers: list[tuple[str, str]] = []
    while begin < len(data):
        end = data.find(b"\n", begin) + 1 or len(data)
        line = data[begin:end].rstrip(b"\r\n")
        begin = end
        if not line:
            break
        name, colon, value = line.decode("latin-1").partition(":")
        if name[:1] in (" ", "\t") and headers:
            headers[-1] = (headers[-1][0], f"{headers[-1][1]} {line.decode('latin-1').strip()}")
        elif colon:
            headers.append((name.strip(), value.strip()))
    return headers, begin


def _listed(value: str) -> list[str]:
    return [word for word in (part.strip().lower() for part in value.split(",")) if word]


def _dechunked(data: bytes) -> bytes:
    """A chunked body put together; one that is not chunked (any more) as it is."""
    pieces: list[bytes] = []
    at = 0
    while match := _CHUNK.match(data, at):
        size = int(match[1], 16)
        at = match.end()
        if not size:
            return b"".join(pieces)
        pieces.append(data[at : at + size])
        at += size
        at += 2 if data[at : at + 2] == b"\r\n" else data[at : at + 1] == b"\n"
    if not pieces or at < len(data):
        return data if len(pieces) < 2 else _broken(at)
    return _broken(at)


def _broken(at: int) -> bytes:
    raise Unreadable("bad_encoding", f"chunks end at byte {at} without a last one")


def _decoded(data: bytes, encoding: str, max_bytes: int) -> bytes:
    if encoding in ("identity", "none", "utf-8", "") or not data:
        return data
    if encoding in ("gzip", "x-gzip"):
        return _inflated(data, zlib.MAX_WBITS | 16, max_bytes) if data.startswith(_GZIP) else data
    if encoding == "deflate":
        is_zlib = len(data) > 1 and data[0] & 15 == 8 and (data[0] << 8 | data[1]) % 31 == 0
        return _inflated(data, zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS, max_bytes)
    if encoding == "zstd":
        stream = pa.CompressedInputStream(pa.BufferReader(data), "zstd") if data.startswith(_ZSTD) else io.BytesIO(data)
        return _drained(stream, max_bytes, encoding)
    if encoding == "br":
        return _brotli(data, max_bytes)
    raise Unreadable("bad_encoding", f"content-encoding {encoding[:40]}")


def _inflated(data: bytes, wbits: int, max_bytes: int) -> bytes:
    inflater = zlib.decompressobj(wbits)
    try:
        payload = inflater.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise Unreadable("bad_encoding", f"deflate: {error}") from error
    if len(payload) <= max_bytes and not inflater.eof:
        raise Unreadable("bad_encoding", f"deflate: ends after {len(payload)} bytes")
    return payload


def _brotli(data: bytes, max_bytes: int) -> bytes:
    """Brotli has no mark to know it by: what cannot be decoded but reads as text was stored decoded."""
    try:
        from fastwarc.stream_io import BrotliReader  # noqa: PLC0415 - optional
    except ImportError as error:
        raise ResourceError("pages in brotli need the extra packages: pip install 'whorl[web]'") from error
    try:
        return _drained(BrotliReader(io.BytesIO(data)), max_bytes, "br")
    except Unreadable:
        if data.lstrip()[:1] == b"<":
            return data
        raise


def _drained(stream: Any, max_bytes: int, encoding: str) -> bytes:  # noqa: ANN401 - pyarrow has no types
    try:
        return bytes(stream.read(max_bytes + 1))
    except OSError as error:
        raise Unreadable("bad_encoding", f"{encoding}: {error}") from error
