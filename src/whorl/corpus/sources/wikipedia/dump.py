"""corpus/sources/wikipedia/dump: the pages of a MediaWiki XML dump, one at a time, whatever state the dump is in.

Memory holds one page. A page whose XML is broken is lost alone: reading goes on at the next `<page>`. Declarations of document
types and entities are refused, so nothing can expand.
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from whorl.corpus.files import Unreadable
from whorl.corpus.sources.wikipedia.page_parser import Broken, Page, PageParser, Site

__all__ = ["Lost", "pages_of"]

_PIECE = 262_144
_ROOT, _PAGE = b"<mediawiki>", b"<page>"


class Lost(NamedTuple):
    """A place where something could not be read."""

    site: Site
    page: str | None  # number of the page that was being read, where it is known
    byte: int  # in the decompressed dump
    reason: str
    detail: str


def pages_of(stream: BinaryIO, *, max_text: int) -> Iterator[Page | Lost]:
    """Pages and losses in the order of the dump. `max_text` bounds the characters kept of one page.

    Raises Unreadable (`doctype`) when the dump declares a document type.
    """
    reader = _Reader(max_text)
    try:
        while data := stream.read(_PIECE):
            yield from reader.read(data)
        yield from reader.end()
    except Unreadable as fault:
        if fault.reason == "doctype":
            raise
        yield from reader.broken_off(fault)


class _Reader:
    """A parser, and where in the dump it began; between a broken page and the next one, no parser at all."""

    def __init__(self, max_text: int) -> None:
        self._max_text = max_text
        self._parser = PageParser(Site(), max_text)
        self._first = 0  # place in the dump of the parser's first byte
        self._place = 0  # of the next piece
        self._is_seeking = False
        self._carry = b""  # what was sought through last: a tag may lie across two pieces

    def read(self, data: bytes) -> Iterator[Page | Lost]:
        """What one more piece of the dump holds."""
        start = 0
        while start < len(data):
            if self._is_seeking:
                start = self._seek(data, start)
                continue
            try:
                self._parser.feed(data[start:])
                start = len(data)
            except Broken as fault:
                byte = self._first + fault.byte
                yield from self._parser.taken()
                yield self._lost(byte, "malformed_xml", f"{fault.detail} at byte {byte}")
                self._is_seeking, self._carry = True, b""
                start = max(start, byte - self._place)
        self._place += len(data)
        yield from self._parser.taken()

    def end(self) -> Iterator[Page | Lost]:
        """What is left when the dump is over."""
        if self._is_seeking:
            return
        try:
            self._parser.feed(b"", is_last=True)
        except Broken:
            yield self._lost(self._place, "truncated", f"ends at byte {self._place}, before </mediawiki>")

    def broken_off(self, fault: Unreadable) -> Iterator[Page | Lost]:
        """What is left when the rest cannot be had."""
        yield from self._parser.taken()
        yield self._lost(self._place, fault.reason, f"{fault.detail}; nothing after it was read")

    def _seek(self, data: bytes, start: int) -> int:
        """Where in `data` to read on: behind the next opening of a page, or at the end when there is none."""
        joined = self._carry + data[start:]
        at = joined.find(_PAGE)
        if at < 0:
            self._carry = joined[1 - len(_PAGE) :]
            return len(data)
        behind = start + at + len(_PAGE) - len(self._carry)
        self._parser = PageParser(self._parser.site, self._max_text)
        self._parser.feed(_ROOT + _PAGE)
        self._first = self._place + behind - len(_ROOT + _PAGE)
        self._is_seeking = False
        return behind

    def _lost(self, byte: int, reason: str, detail: str) -> Lost:
        return Lost(self._parser.site, self._parser.open_page, byte, reason, detail)
