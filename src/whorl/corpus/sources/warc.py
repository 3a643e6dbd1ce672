"""corpus/sources/warc: web archives (WARC, and the WET files made of them), one document per page.

A page is a `response`, `resource` or `conversion` record: HTML that was fetched with status 200, as its main content, or the
text of a conversion. Every other record of these kinds, every `revisit`, and whatever is no record, is skipped with a reason;
`warcinfo`, `request` and `metadata` speak of pages and are none. Addresses of machines (WARC-IP-Address) are not kept.

A site's robots.txt counts for its pages when it lies anywhere in the same archive file, or in a file of `robots`; the archive's
own goes before those, and a later one before an earlier one. One that lies in another segment of `path` does not count: name
the segments in `robots` too. A response other than 200 to /robots.txt is no evidence.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from whorl.core.config import UNHASHED
from whorl.core.quantity import Bytes
from whorl.corpus.crawl import Fetched, Limits, RecordNames, day_of, fetched, is_no_page, robots_by_site, target_of
from whorl.corpus.extract import Extractor
from whorl.corpus.files import Unit, Unreadable
from whorl.corpus.markup import decode_html
from whorl.corpus.rights import Rights
from whorl.corpus.robots_txt import RobotsTxt, site_of
from whorl.corpus.rows import DocumentRows, Harvest, Skip
from whorl.corpus.sources import FileSource
from whorl.corpus.warc_records import WarcRecord, warc_records

__all__ = ["Warc"]


class _Said(NamedTuple):
    """What the content of a record gives."""

    columns: Mapping[str, str | None]
    meta: Mapping[str, str | None]
    rights: Rights


class Warc(FileSource):
    """Files matching a glob pattern, e.g. `crawl/*.warc.gz`; also .warc, .warc.zst and WET."""

    robots: str = Field("", json_schema_extra=UNHASHED)  # archives that hold robots.txt responses: crawl/robotstxt/*.warc.gz
    extract: Extractor = Field(default_factory=lambda: Extractor.model_validate({"use": "main_content"}))
    max_page: Bytes = 16_000_000  # of HTML, its encodings taken off
    max_record: Bytes = 64_000_000  # a larger record is passed over

    def units(self, root: Path) -> list[Unit]:
        """See Source.units. Files of `robots` lie beside every unit: its documents are made from them too."""
        beside = tuple(self.matching(self.robots, root)) if self.robots else ()
        return [unit._replace(beside=beside) for unit in super().units(root)]

    def read(self, unit: Unit) -> Iterator[Harvest]:
        """See Source.read. Ids: see RecordNames."""
        rows = DocumentRows({"licence": self.licence})
        names = RecordNames(unit, f"{self.name}/" if self.name else "")
        robots = self._robots(unit)
        for record in self._records(unit, rows):
            if not is_no_page(record):
                self._add(rows, record, names.name(record), unit=unit, robots=robots)
            if rows.is_full:
                yield rows.harvest()
        yield rows.harvest()

    def _robots(self, unit: Unit) -> Mapping[str, RobotsTxt]:
        limits = Limits(self.max_unpacked, self.max_ratio, self.max_record)
        beside = robots_by_site(unit.beside, limits) if unit.beside else {}
        is_text = ".wet" in unit.path.suffixes  # holds conversions only: not worth a first reading
        return beside if is_text else {**beside, **robots_by_site((unit,), limits)}

    def _records(self, unit: Unit, rows: DocumentRows) -> Iterator[WarcRecord]:
        """Records of the unit; what is wrong with the file itself goes to `rows`."""
        is_empty = True
        try:
            with self.opened(unit) as stream:
                for record in warc_records(stream, self.max_record):
                    is_empty = False
                    yield record
        except Unreadable as fault:
            rows.skip(Skip(unit.name, unit.name, fault.reason, fault.detail))
            return
        if is_empty:
            rows.skip(Skip(unit.name, unit.name, "empty", f"{unit.size_bytes} bytes"))

    def _add(self, rows: DocumentRows, record: WarcRecord, doc_id: str, *, unit: Unit, robots: Mapping[str, RobotsTxt]) -> None:
        url = target_of(record)
        try:
            page = fetched(record, self.max_page)
            said = self._said(page, url)
        except Unreadable as fault:
            rows.skip(Skip(doc_id, unit.name, fault.reason, fault.detail))
            return
        site = robots.get(site_of(url))
        rights = said.rights if site is None else said.rights.with_robots_txt(site.disallowed(url))
        row = {"id": doc_id, "source": unit.name, "url": url or None, "added": day_of(record), "rights": rights.to_json()}
        meta = {
            **said.meta,
            "crawled": record.headers.get("warc-date"),
            "content_type": page.content_type,
            "payload_digest": record.headers.get("warc-payload-digest"),
        }
        rows.add({**row, **said.columns}, {key: value for key, value in meta.items() if value})

    def _said(self, page: Fetched, url: str) -> _Said:
        if page.content_type == "text/plain":
            return _Said({"text": _plain_text(page.content)}, {}, Rights())
        found = self.extract.extract(decode_html(page.content, page.charset), url or None)
        columns = {
            "text": found.text,
            "licence": found.licence or self.licence,
            "language": found.language,
            "date": found.date,
        }
        canonical = found.canonical if found.canonical != url else None
        rights = Rights.of_page(found.robots).with_headers(page.headers)
        return _Said(columns, {"title": found.title, "canonical": canonical}, rights)


def _plain_text(content: bytes) -> str:
    """The text of a conversion, which is UTF-8 by agreement."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable("not_utf8", f"at byte {error.start}: {error.reason}") from error
