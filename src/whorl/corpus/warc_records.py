"""corpus/warc_records: the records of a web archive one after another, and whatever between them is none.

Readers of WARC pass over what they cannot parse; here it is an item with a fault: everything in a file is accounted for.
After a fault, reading goes on at the next line that begins a record: also inside a record whose length turned out to be wrong.
Reads what was unpacked already; looks into no record. https://iipc.github.io/warc-specifications/specifications/warc-format/
"""

import io
import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

from whorl.corpus.unpack import Unreadable

__all__ = ["WarcRecord", "warc_records"]

_VERSION = re.compile(rb"WARC/\d+\.\d+[ \t]*\r?\n")
_LENGTH = re.compile(r"\d{1,15}")
_MAX_HEADER = 1_048_576
_MAX_LINE = 65_536
_PIECE = 1_048_576
_MAX_REREAD = 256_000_000  # bytes of one file that may be looked through again after wrong lengths: time stays linear


class WarcRecord(NamedTuple):
    """A record, or, when it has a fault, what is left of one."""

    offset: int  # of its first byte in the unpacked file
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    fault: str = ""  # malformed, bad_length, too_large, truncated, damaged, bomb, unreadable; then the body is empty
    detail: str = ""

    @property
    def kind(self) -> str:
        """`response`, `conversion` ...; empty when even that is not known."""
        return self.headers.get("warc-type", "").lower()


def warc_records(stream: BinaryIO, max_record: int) -> Iterator[WarcRecord]:
    """Every record in order, and every fault as an item; never raises. Bodies longer than `max_record` are not held."""
    tape = _Tape(stream)
    while True:
        begin = tape.offset
        line = _skip_blank(tape)
        if not line:
            if tape.fault is not None:
                yield WarcRecord(begin, {}, b"", tape.fault.reason, tape.fault.detail)
            return
        if _VERSION.fullmatch(line):
            yield _record(tape, tape.offset - len(line), max_record)
        else:
            yield _gap(tape, tape.offset - len(line), line)


class _Tape:
    """A stream that can be wound back, and that ends where it breaks off."""

    def __init__(self, stream: BinaryIO) -> None:
        self._streams: list[BinaryIO] = [stream]
        self._reread = 0
        self.offset = 0
        self.fault: Unreadable | None = None  # why the stream ended early, until somebody reports it

    def read(self, size: int) -> bytes:
        """So many bytes, fewer only at the end."""
        pieces = []
        left = size
        while left and (piece := self._advance(left, is_line=False)):
            pieces.append(piece)
            left -= len(piece)
        self.offset += size - left
        return b"".join(pieces)

    def skip(self, size: int) -> int:
        """Pass over bytes without holding them; how many there were."""
        left = size
        while left and (piece := self.read(min(left, _PIECE))):
            left -= len(piece)
        return size - left

    def readline(self) -> bytes:
        """One line with its end, or the beginning of a very long one."""
        line = b""
        while (
            len(line) < _MAX_LINE and not line.endswith(b"\n") and (more := self._advance(_MAX_LINE - len(line), is_line=True))
        ):
            line += more
        self.offset += len(line)
        return line

    def unread(self, data: bytes) -> None:
        """Put bytes back in front."""
        self.offset -= len(data)
        self._streams.append(io.BytesIO(data))

    def look_inside(self, body: bytes) -> None:
        """Go back to the next line of a body that begins a record, unless that was done too much already.

        For a body that was not one: its length was wrong, and it may reach over other records.
        """
        if self._reread + len(body) > _MAX_REREAD:
            return
        self._reread += len(body)
        self.unread(body)
        while line := self.readline():
            if _VERSION.fullmatch(line):
                self.unread(line)
                return

    def take_fault(self, usual: tuple[str, str]) -> tuple[str, str]:
        """Reason and detail of the early end, which counts as reported from now on."""
        found = (self.fault.reason, self.fault.detail) if self.fault else usual
        self.fault = None
        return found

    def _advance(self, size: int, *, is_line: bool) -> bytes:
        while True:
            top = self._streams[-1]
            try:
                data = top.readline(size) if is_line else _read_some(top, size)
            except Unreadable as fault:
                self.fault = fault
                self._streams[0] = io.BytesIO()
                return b""
            if data or len(self._streams) == 1:
                return data
            self._streams.pop()


def _read_some(stream: BinaryIO, size: int) -> bytes:
    """What is there, at most `size`: a fault behind it is met only by the next call."""
    return stream.read1(min(size, _PIECE)) if isinstance(stream, io.BufferedIOBase) else stream.read(min(size, _PIECE))


def _skip_blank(tape: _Tape) -> bytes:
    """The next line that is not blank; empty at the end."""
    while (line := tape.readline()) and _is_blank(line):
        pass
    return line


def _is_blank(line: bytes) -> bool:
    return not line.strip(b"\r\n")


def _gap(tape: _Tape, offset: int, line: bytes) -> WarcRecord:
    """Pass over everything up to the next line that begins a record."""
    while line and not _VERSION.fullmatch(line):
        line = tape.readline()
    end = tape.offset - len(line)
    if line:
        tape.unread(line)
    return WarcRecord(offset, {}, b"", "malformed", f"{end - offset} bytes from byte {offset} are no WARC record")


def _record(tape: _Tape, offset: int, max_record: int) -> WarcRecord:
    headers, is_whole = _headers(tape)
    if not is_whole:
        usual = ("truncated", f"ends inside the header of the record at byte {offset}")
        return WarcRecord(offset, headers, b"", *tape.take_fault(usual))
    length = headers.get("content-length", "")
    if not _LENGTH.fullmatch(length):
        return WarcRecord(offset, headers, b"", "malformed", f"the record at byte {offset} has no length: '{length[:40]}'")
    if int(length) > max_record:
        return _oversize(tape, offset, headers, int(length))
    body = tape.read(int(length))
    if len(body) < int(length):
        usual = ("truncated", f"{len(body)} of {length} bytes of the record at byte {offset}")
        reason, detail = tape.take_fault(usual)
        tape.look_inside(body)
        return WarcRecord(offset, headers, b"", reason, detail)
    if _ends_well(tape):
        return WarcRecord(offset, headers, body)
    tape.look_inside(body)
    return WarcRecord(offset, headers, b"", "bad_length", f"the record at byte {offset} does not end after {length} bytes")


def _oversize(tape: _Tape, offset: int, headers: Mapping[str, str], length: int) -> WarcRecord:
    found = tape.skip(length)
    if found < length:
        usual = ("truncated", f"{found} of {length} bytes of the record at byte {offset}")
        return WarcRecord(offset, headers, b"", *tape.take_fault(usual))
    return WarcRecord(offset, headers, b"", "too_large", f"a record of {length} bytes; set max_record")


def _headers(tape: _Tape) -> tuple[dict[str, str], bool]:
    """Named fields up to the blank line, and whether there was one. Lines without a colon are passed over."""
    headers: dict[str, str] = {}
    name = ""
    begin = tape.offset
    while (line := tape.readline()) not in (b"\r\n", b"\n"):
        if not line or tape.offset - begin > _MAX_HEADER:
            return headers, False
        if _VERSION.fullmatch(line):  # the header was cut short, and the next record begins
            tape.unread(line)
            return headers, True
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        before, colon, value = text.partition(":")
        if text[:1] in (" ", "\t") and name:
            headers[name] += f" {text.strip()}"
        elif colon:
            name = before.strip().lower()
            headers[name] = value.strip()
    return headers, True


def _ends_well(tape: _Tape) -> bool:
    """Whether what follows a body is its end: two line ends, or one or none before another record or the end of the file."""
    line = tape.readline()
    follows = tape.readline() if _is_blank(line) else b""
    if _is_blank(line) and _is_blank(follows):
        return True
    tape.unread(line + follows)
    return _VERSION.fullmatch(follows or line) is not None
