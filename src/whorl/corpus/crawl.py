"""corpus/crawl: what the records of a web archive hold: a page, a robots.txt, or a reason why neither.

Decodes no page and finds no text in it; that is the extractor's. https://commoncrawl.org/get-started describes the files.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

import xxhash

from whorl.corpus.files import Unit, Unreadable, open_decoded
from whorl.corpus.http_message import parse_http
from whorl.corpus.remote import remote_hash
from whorl.corpus.robots_txt import RobotsTxt, parse_robots_txt, site_of
from whorl.corpus.warc_records import WarcRecord, warc_records

__all__ = ["HTML_TYPES", "Fetched", "Limits", "RecordNames", "day_of", "fetched", "is_no_page", "robots_by_site", "target_of"]

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_NO_PAGES = frozenset({"warcinfo", "request", "metadata"})
_MAX_ROBOTS = 16_000_000  # unpacked; a longer one is no robots.txt


class Limits(NamedTuple):
    """How much an archive may hold; see FileSource and Warc."""

    max_unpacked: int
    max_ratio: float
    max_record: int


class Fetched(NamedTuple):
    """What a record holds that can become a document."""

    content: bytes
    content_type: str  # HTML_TYPES or text/plain
    charset: str | None = None  # as the server declared
    headers: Sequence[tuple[str, str]] = ()  # of HTTP


class RecordNames:
    """Names for the documents of one file: the record's id, else its address and date, else its place.

    One that occurs again gets `#2`, `#3` ...; only a hash of each is held, so that one in 10^19 gets a number for nothing.
    """

    def __init__(self, unit: Unit, prefix: str) -> None:
        self._unit = unit
        self._prefix = prefix
        self._seen: Counter[int] = Counter()

    def name(self, record: WarcRecord) -> str:
        """The next document's name."""
        own = record.headers.get("warc-record-id", "").strip("<> ")
        url, when = target_of(record), record.headers.get("warc-date", "")
        place = f"{self._unit.name}:{record.offset}"
        name = f"{self._prefix}{own}" if own else f"{self._prefix}{url}@{when}" if url and when else place
        key = xxhash.xxh3_64_intdigest(name.encode("utf-8", "replace"))
        self._seen[key] += 1
        return f"{name}#{self._seen[key]}" if self._seen[key] > 1 else name


def is_no_page(record: WarcRecord) -> bool:
    """Whether a sound record speaks of pages and is none."""
    return record.kind in _NO_PAGES and not record.fault


def target_of(record: WarcRecord) -> str:
    """The address a record is about; some writers put it in angle brackets."""
    return record.headers.get("warc-target-uri", "").strip("<> ")


def day_of(record: WarcRecord) -> str | None:
    """The day (UTC) a record was written, YYYY-MM-DD."""
    day = record.headers.get("warc-date", "")[:11]
    with suppress(ValueError):
        return date.fromisoformat(day[:10]).isoformat() if day[10:] in ("", "T") else None
    return None


def fetched(record: WarcRecord, max_page: int) -> Fetched:
    """What is in a record. Raises Unreadable with the reason why it cannot become a document."""
    if record.fault:
        raise Unreadable(record.fault, record.detail)
    if record.headers.get("warc-truncated"):
        raise Unreadable("truncated", f"by the crawler: {record.headers['warc-truncated']}")
    if record.kind == "response":
        return _checked(_response(record, max_page), HTML_TYPES)
    if record.kind not in ("resource", "conversion"):
        raise Unreadable(record.kind if record.kind in ("revisit", "continuation") else "unknown_type", record.kind)
    held = Fetched(record.body, _media_type(record.headers.get("content-type", "")))
    return _checked(held, HTML_TYPES if record.kind == "resource" else HTML_TYPES | {"text/plain"})


def robots_by_site(units: Sequence[Unit], limits: Limits) -> Mapping[str, RobotsTxt]:
    """The robots.txt files in some archives, by site; a later one replaces an earlier one. Remembers the last answer."""
    stamps = tuple(remote_hash(unit.url) if unit.url else _modified(unit) for unit in units)
    return _robots_by_site(tuple(units), stamps, limits)


@lru_cache(maxsize=1)
def _robots_by_site(units: tuple[Unit, ...], stamps: tuple[str, ...], limits: Limits) -> Mapping[str, RobotsTxt]:
    del stamps  # only there to be part of the key
    return {site: robots for unit in units for site, robots in _robots_in(unit, limits)}


def _robots_in(unit: Unit, limits: Limits) -> Iterator[tuple[str, RobotsTxt]]:
    """What is wrong with the archive is not reported here: who reads its pages does."""
    with suppress(Unreadable), open_decoded(unit, max_bytes=limits.max_unpacked, max_ratio=limits.max_ratio) as stream:
        for record in warc_records(stream, limits.max_record):
            site = site_of(target_of(record))
            if site and (robots := _robots_txt(record)) is not None:
                yield site, robots


def _robots_txt(record: WarcRecord) -> RobotsTxt | None:
    """The rules in a record that holds a robots.txt."""
    if record.kind != "response" or record.fault or not _is_robots_txt(target_of(record)):
        return None
    with suppress(Unreadable):
        message = parse_http(record.body, _MAX_ROBOTS)
        return parse_robots_txt(message.payload) if message.status == 200 else None
    return None


def _modified(unit: Unit) -> str:
    with suppress(OSError):
        return str(unit.path.stat().st_mtime_ns)
    return "unreadable"


def _response(record: WarcRecord, max_page: int) -> Fetched:
    message = parse_http(record.body, max_page)
    if message.status != 200:
        raise Unreadable("status", str(message.status))
    if _is_robots_txt(target_of(record)):
        raise Unreadable("robots_txt", "evidence for the pages of its site, not a page")
    identified = _media_type(record.headers.get("warc-identified-payload-type", ""))
    return Fetched(message.payload, message.content_type or identified, message.charset, message.headers)


def _checked(held: Fetched, wanted: frozenset[str]) -> Fetched:
    content_type = held.content_type or ("text/html" if _looks_like_html(held.content) else "")
    if content_type not in wanted:
        raise Unreadable("not_html", content_type or "no content type")
    if not held.content or held.content.isspace():
        raise Unreadable("empty", f"{len(held.content)} bytes")
    return held._replace(content_type=content_type)


def _is_robots_txt(url: str) -> bool:
    try:
        return urlsplit(url).path == "/robots.txt"
    except ValueError:
        return False


def _media_type(value: str) -> str:
    return value.partition(";")[0].strip().lower()


def _looks_like_html(content: bytes) -> bool:
    start = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) or b"<html" in start
