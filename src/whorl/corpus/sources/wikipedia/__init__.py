"""corpus/sources/wikipedia: articles of a MediaWiki XML dump as prose, one document per page.

Reads `pages-articles` dumps of any wiki, plain or compressed, of one stream or many; of a history dump, the last revision of
a page. What a page loses on the way to prose is written in text/wikitext. Redirects and pages of other namespaces are counted,
not read. Does not expand templates and does not use the index of multistream dumps: one file is read by one worker, so a wiki
that comes in several files is read by several.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from whorl.core.quantity import Bytes
from whorl.corpus.files import Unit, Unreadable
from whorl.corpus.rows import DocumentRows, Harvest, Skip
from whorl.corpus.sources import FileSource
from whorl.corpus.sources.wikipedia.dump import Lost, pages_of
from whorl.corpus.sources.wikipedia.page_parser import Page, Site
from whorl.text.wikitext import prose
from whorl.text.wikitext_rules import Rules

__all__ = ["Wikipedia"]

_DATABASE = re.compile(r"([a-z][a-z0-9_]*wik[a-z]*)-")  # how a dump's file name begins
_UNSEEN_NAMESPACES = (-2, 6, 14)  # Media, File, Category


class Wikipedia(FileSource):
    """Dumps matching a glob pattern, e.g. `dumps/*-pages-articles*.xml.bz2`."""

    namespaces: tuple[int, ...] = (0,)  # 0: articles
    keeps: tuple[Literal["math", "code"], ...] = ("math", "code")  # formulas as `$...$`, listings as they are
    drop_sections: tuple[str, ...] | None = None  # headings; None: references, links and their like in ten languages
    templates: Mapping[str, str] = {}  # name -> what it shows, e.g. {ill: "{1}", birth: "born {1|date}"}; others are dropped
    # Wikimedia's text since 2023-06-07; dumps before that say CC-BY-SA-3.0, whose text may be used under the later version too.
    licence: str | None = "CC-BY-SA-4.0"
    language: str | None = None  # None: what the dump says
    max_page: Bytes = 16_000_000  # of wikitext; the largest article of the English Wikipedia is below 4 MB
    max_unpacked: Bytes = 2_000_000_000_000  # the English Wikipedia's articles unpack to 0.1 TB, its history to more

    def read(self, unit: Unit) -> Iterator[Harvest]:
        """See Source.read. Ids: the wiki's name and the page's number, `enwiki:12`."""
        rows = DocumentRows({"licence": self.licence})
        try:
            for found in self._pages(unit):
                self._add(rows, found, unit)
                if rows.is_full:
                    yield rows.harvest()
        except Unreadable as fault:
            rows.skip(Skip(unit.name, unit.name, fault.reason, fault.detail))
        yield rows.harvest()

    def _pages(self, unit: Unit) -> Iterator[Page | Lost]:
        with self.opened(unit) as stream:
            yield from pages_of(stream, max_text=self.max_page)

    def _add(self, rows: DocumentRows, found: Page | Lost, unit: Unit) -> None:
        if isinstance(found, Lost):
            place = f"{unit.name}:byte {found.byte}" if found.page is None else self._id(found.site, found.page, unit)
            rows.skip(Skip(place, unit.name, found.reason, found.detail))
            return
        site = found.site
        doc_id = self._id(site, found.number, unit)
        reason, detail = self._refusal(found)
        if reason:
            rows.skip(Skip(doc_id, unit.name, reason, detail))
            return
        values = {
            "id": doc_id,
            "source": unit.name,
            "text": prose(found.text, self._rules(site)),
            "url": f"{site.base}{quote(found.title.replace(' ', '_'), safe=_PLAIN_IN_URLS)}" if site.base else None,
            "language": self.language or site.language,
            "date": found.timestamp or None,
        }
        rows.add(values, {"title": found.title, "revision": found.revision})

    def _refusal(self, page: Page) -> tuple[str, str]:
        """Why a page is not read, in a word and in detail; empty when it is."""
        if page.namespace not in self.namespaces:
            return "other_namespace", f"{page.namespace} {page.site.namespaces.get(page.namespace, '')}".strip()
        if page.redirect is not None:
            return "redirect", f"to {page.redirect}" if page.redirect else ""
        if page.model not in ("", "wikitext"):
            return "not_wikitext", page.model
        if page.is_too_large:
            return "too_large", f"more than {self.max_page} bytes of wikitext"
        return ("deleted", "") if page.is_deleted else ("", "")

    def _id(self, site: Site, number: str, unit: Unit) -> str:
        in_name = _DATABASE.match(Path(unit.name).name)
        wiki = site.database or (in_name.group(1) if in_name else "wiki")
        prefix = f"{self.name}/" if self.name else ""
        return f"{prefix}{wiki}:{number}"

    def _rules(self, site: Site) -> Rules:
        house = Rules()
        sections = house.dropped_sections if self.drop_sections is None else frozenset(s.casefold() for s in self.drop_sections)
        local = {site.namespaces.get(number, "").lower() for number in _UNSEEN_NAMESPACES} - {""}
        more = {name.strip().replace("_", " ").lower(): shown for name, shown in self.templates.items()}
        return Rules(
            unseen_links=house.unseen_links | local,
            dropped_sections=sections,
            templates={**house.templates, **more} if more else house.templates,
            keeps_math="math" in self.keeps,
            keeps_code="code" in self.keeps,
        )


_PLAIN_IN_URLS = "/:@!$&'()*+,;=~"
