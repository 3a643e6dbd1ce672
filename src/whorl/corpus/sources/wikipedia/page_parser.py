"""corpus/sources/wikipedia/page_parser: from the elements of a MediaWiki XML dump to pages.

The format is https://www.mediawiki.org/wiki/Help:Export. Holds the page it is in and those not yet taken. Does not read files,
and does not survive broken XML: corpus/sources/wikipedia/dump goes on with another parser.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from xml.parsers import expat

from whorl.corpus.files import Unreadable

__all__ = ["Broken", "Page", "PageParser", "Site"]

_IN_PAGE = frozenset({"title", "ns", "id"})
_IN_REVISION = frozenset({"id", "timestamp", "model", "text"})
_IN_SITE = frozenset({"dbname", "base"})
_LONGEST_FIELD = 10_000  # characters of anything but a page's text
_BUFFER = 1 << 20


class Site(NamedTuple):
    """What a dump says of its wiki; empty where it says nothing."""

    database: str = ""  # enwiki
    base: str = ""  # https://en.wikipedia.org/wiki/
    language: str | None = None
    namespaces: Mapping[int, str] = {}


class Page(NamedTuple):
    """A page with its last revision."""

    site: Site
    number: str
    title: str
    namespace: int
    redirect: str | None  # the title it leads to; None: a page of its own
    revision: str
    timestamp: str
    model: str
    text: str
    is_deleted: bool
    is_too_large: bool


@dataclass
class _Fields:
    """What is known of the page being read."""

    page: dict[str, str] = field(default_factory=dict)
    revision: dict[str, str] = field(default_factory=dict)
    redirect: str | None = None
    is_deleted: bool = False
    is_too_large: bool = False


class Broken(Exception):  # noqa: N818 - a finding about a dump, recorded in the ledger, never shown as an error
    """The XML is not that of a dump from this byte of the parser's input on."""

    def __init__(self, byte: int, detail: str) -> None:
        super().__init__(byte, detail)
        self.byte = byte
        self.detail = detail


class PageParser:
    """An expat parser with the page it is in. Elements are told apart by their names and their parents'."""

    def __init__(self, site: Site, max_text: int) -> None:
        self.site = site
        self._max_text = max_text
        self._namespaces = dict(site.namespaces)
        self._key = ""  # of the namespace being read
        self._done: list[Page] = []
        self._path: list[str] = []
        self._fields: _Fields | None = None
        self._is_wanted = False
        self._text: list[str] = []
        self._num_chars = 0
        self._expat = expat.ParserCreate()
        self._expat.buffer_text = True
        self._expat.buffer_size = _BUFFER
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._stop
        self._expat.CharacterDataHandler = self._characters
        self._expat.StartDoctypeDeclHandler = self._refuse

    def feed(self, data: bytes, *, is_last: bool = False) -> None:
        """Parse a piece. Raises Broken, and Unreadable at a document type."""
        try:
            self._expat.Parse(data, is_last)
        except expat.ExpatError as error:
            raise Broken(max(0, self._expat.ErrorByteIndex), expat.ErrorString(error.code)) from error

    def taken(self) -> list[Page]:
        """Pages finished since the last call."""
        done, self._done = self._done, []
        return done

    @property
    def open_page(self) -> str | None:
        """Number of the page that is being read; None outside pages and before it is known."""
        return self._fields.page.get("id") if self._fields else None

    def _refuse(self, *_: object) -> None:
        raise Unreadable("doctype", "a dump declares no document type or entities, and none are read")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        parent = self._path[-1] if self._path else ""
        self._path.append(name)
        self._text, self._num_chars = [], 0
        self._is_wanted = _is_wanted(name, parent)
        if name == "mediawiki" and "xml:lang" in attributes:
            self.site = self.site._replace(language=attributes["xml:lang"])
        elif name == "namespace":
            self._key = attributes.get("key", "")
        elif name == "page":
            if self._fields is not None:
                raise Broken(self._expat.CurrentByteIndex, "a page begins inside a page")
            self._fields = _Fields()
        elif self._fields is not None:
            self._start_in_page(name, attributes)

    def _start_in_page(self, name: str, attributes: dict[str, str]) -> None:
        assert self._fields is not None, "only inside a page"
        if name == "redirect":
            self._fields.redirect = attributes.get("title", "")
        elif name == "revision":
            self._fields.revision = {}
            self._fields.is_deleted = self._fields.is_too_large = False
        elif name == "text":
            self._fields.is_deleted = "deleted" in attributes

    def _characters(self, text: str) -> None:
        if not self._is_wanted:
            return
        self._num_chars += len(text)
        if self._num_chars <= (self._max_text if self._path[-1] == "text" else _LONGEST_FIELD):
            self._text.append(text)
        elif self._path[-1] == "text" and self._fields is not None:
            self._fields.is_too_large = True

    def _stop(self, name: str) -> None:
        self._path.pop()
        parent = self._path[-1] if self._path else ""
        value = "".join(self._text) if self._is_wanted else ""
        if name == "page":
            self._finish_page()
        elif self._is_wanted and parent == "revision" and self._fields is not None:
            self._fields.revision[name] = value
        elif self._is_wanted and parent == "page" and self._fields is not None:
            self._fields.page[name] = value
        elif self._is_wanted:
            self._learn(name, value)
        self._is_wanted = False

    def _learn(self, name: str, value: str) -> None:
        """A fact of the wiki."""
        if name == "dbname":
            self.site = self.site._replace(database=value)
        elif name == "base":
            self.site = self.site._replace(base=f"{value.rpartition('/')[0]}/")
        elif self._key.lstrip("-").isdigit():
            self._namespaces[int(self._key)] = value
            self.site = self.site._replace(namespaces=self._namespaces)

    def _finish_page(self) -> None:
        fields, self._fields = self._fields, None
        assert fields is not None, "a page that ends has begun"
        text = fields.revision.get("text", "")
        title = fields.page.get("title", "")
        redirect = fields.redirect if fields.redirect is not None else _redirect(text)
        self._done.append(
            Page(
                self.site,
                number=fields.page.get("id", title),
                title=title,
                namespace=_namespace(fields.page.get("ns", ""), title, self._namespaces),
                redirect=redirect,
                revision=fields.revision.get("id", ""),
                timestamp=fields.revision.get("timestamp", ""),
                model=fields.revision.get("model", ""),
                text=text,
                is_deleted=fields.is_deleted,
                is_too_large=fields.is_too_large,
            )
        )


def _is_wanted(name: str, parent: str) -> bool:
    """Whether the characters of an element are read."""
    if parent == "revision":
        return name in _IN_REVISION
    return (parent == "page" and name in _IN_PAGE) or (parent == "siteinfo" and name in _IN_SITE) or name == "namespace"


def _redirect(text: str) -> str | None:
    """Where a page leads in dumps that have no element for it (before format 0.4)."""
    start = text[:400].lstrip()
    if start[:9].lower() != "#redirect":
        return None
    return start.partition("[[")[2].partition("]]")[0].partition("|")[0].strip()


def _namespace(written: str, title: str, names: Mapping[int, str]) -> int:
    """A page's namespace; in dumps that do not write it (before format 0.6) it is in the title."""
    if written.lstrip("-").isdigit():
        return int(written)
    prefix = title.partition(":")[0] if ":" in title else ""
    return next((number for number, name in names.items() if name and name == prefix), 0)
