"""text/html_facts: what a page says about itself: title, language, date, licence, robots directives, canonical address.

Reads only the tags that the tokenizer marked, and searches JSON-LD for two keys instead of parsing it: a broken block still
says its date. A value that contradicts itself (two licences, an impossible date) is left out rather than chosen. Believes the
page.
"""

import html
import re
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple
from urllib.parse import urljoin

from whorl.text.html import MARK_END, MARK_INNER, MARK_START, MARK_TAG, Tree
from whorl.text.html_names import TAGS

__all__ = ["Facts", "facts_of", "unescape"]

_ROBOTS = frozenset({"robots", "googlebot", "googlebot-news", "google-extended", "bingbot", "slurp", "yandex", "gptbot",
    "oai-searchbot",
                     "chatgpt-user", "ccbot", "anthropic-ai", "claudebot", "claude-web", "perplexitybot", "applebot",
                     "otherbot",
                     "applebot-extended", "bytespider", "amazonbot", "facebookbot", "meta-externalagent", "cohere-ai",
                     "diffbot",
                     "omgilibot", "ai2bot"})  # fmt: skip
_TDM = frozenset({"tdm-reservation", "tdm-policy"})
# In order of trust.
_DATES = ("article:published_time", "og:article:published_time", "datepublished", "dc.date.issued", "dcterms.issued",
    "citation_publication_date",
          "publication_date", "publish-date", "publishdate", "pubdate", "parsely-pub-date", "sailthru.date", "og:pubdate",
          "dcterms.created",
          "dc.date", "dc.date.created", "date")  # fmt: skip
_TITLES = ("og:title", "twitter:title", "dc.title")
_LANGUAGES = ("content-language", "dc.language", "og:locale")
_WANTED = frozenset({*_ROBOTS, *_TDM, *_DATES, *_TITLES, *_LANGUAGES})

_ATTRIBUTE = re.compile(r"""([^\s"'>/=]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_META_NAME = re.compile(rb"""(?i)\b(?:name|property|itemprop|http-equiv)\s*=\s*["']?\s*([^\s"'>]+)""")
_LD_DATE = re.compile(rb'"datePublished"\s*:\s*"([^"\\]{4,40})"')
_LD_LICENCE = re.compile(rb'"license"\s*:\s*"(http[^"\\]{4,200})"')
_COMMONS = re.compile(rb"""https?://(?:www\.)?creativecommons\.org/(?:licenses|publicdomain)/[A-Za-z0-9./+-]{2,40}""")
# Name, version and jurisdiction: by-sa/3.0/de; what follows is the form.
_COMMONS_LICENCE = re.compile(
    r"(?i)https?://(?:www\.)?(creativecommons\.org/(?:licenses|publicdomain)/[a-z-]+/[0-9.]+[0-9](?:/[a-z]{2}(?![a-z.]))?)"
)
_ISO = re.compile(r"(\d{4})[-/.]?(\d{2})[-/.]?(\d{2})(?!\d)(?:[T ](\d{2}:\d{2}(?::\d{2})?)(?:\.\d+)?\s?(Z|[+-]\d{2}:?\d{2})?)?")
# Decimal references: padding, and numbers beyond Unicode, either of which can be too long for int().
_PADDED, _ENDLESS = re.compile(r"&#0{6,}"), re.compile(r"&#[0-9]{8,}")
_LANGUAGE = re.compile(r"[a-z]{2,3}([-_][a-z0-9]{2,8}){0,3}")
_META, _LINK, _HTML, _TIME, _TITLE, _SCRIPT, _A = (
    TAGS[name] for name in ("meta", "link", "html", "time", "title", "script", "a")
)


class Facts(NamedTuple):
    """None and the empty tuple mean that the page does not say."""

    title: str | None
    language: str | None  # lower case, hyphens
    date: str | None  # YYYY-MM-DD, then T and the time if given
    licence: str | None
    robots: tuple[str, ...]  # lower case, in order; those for one agent begin with its name and a colon
    canonical: str | None


def unescape(text: str) -> str:
    """Text with its character references replaced; those beyond Unicode become U+FFFD. Never raises."""
    if "&" not in text:
        return text
    return html.unescape(_ENDLESS.sub("\N{REPLACEMENT CHARACTER}", _PADDED.sub("&#0", text)))


def facts_of(tree: Tree, url: str | None) -> Facts:
    """The facts of a page; its url makes a relative canonical address absolute."""
    data = tree.data.tobytes()
    metas, links, first, dated = _sorted_marks(tree, data)
    return Facts(
        _title(metas, first.get(_TITLE)),
        _language(metas, first.get(_HTML)),
        _date(metas, dated),
        _licence(data, links, dated, url),
        tuple(dict.fromkeys(_robots(metas))),
        _canonical(links, url),
    )


class _Dated(NamedTuple):
    """Places that may hold a date."""

    times: list[str]
    blocks: list[bytes]  # of JSON-LD


class _Sorted(NamedTuple):
    metas: list[tuple[str, str]]  # name and content
    links: list[tuple[str, str]]  # rel and href
    first: dict[int, str]  # content of the first title, lang of the first html
    dated: _Dated


def _sorted_marks(tree: Tree, data: bytes) -> _Sorted:
    found = _Sorted([], [], {}, _Dated([], []))
    for mark in tree.marks.tolist():
        tag, opening = mark[MARK_TAG], data[mark[MARK_START] : mark[MARK_INNER]]
        if tag == _META:
            name = _META_NAME.search(opening)
            if name and name[1].decode("utf-8", "replace").lower() in _WANTED:
                found.metas.append((name[1].decode().lower(), _attributes(opening).get("content", "")))
        elif tag in (_LINK, _A):
            if b"canonical" in opening.lower() or b"licen" in opening.lower():
                attributes = _attributes(opening)
                found.links.append((attributes.get("rel", "").lower(), attributes.get("href", "")))
        elif tag == _TIME:
            found.dated.times.append(_attributes(opening).get("datetime", ""))
        elif tag == _SCRIPT:
            found.dated.blocks.append(data[mark[MARK_INNER] : mark[MARK_END]])
        elif tag == _TITLE:
            found.first.setdefault(tag, _plain(data[mark[MARK_INNER] : mark[MARK_END]]))
        elif tag == _HTML:
            attributes = _attributes(opening)
            found.first.setdefault(tag, attributes.get("lang") or attributes.get("xml:lang", ""))
    return found


def _attributes(opening: bytes) -> dict[str, str]:
    """Attributes of one start tag, decoded; of two with one name the first counts."""
    pairs = _ATTRIBUTE.finditer(opening.decode("utf-8", "replace"))
    found: dict[str, str] = {}
    for pair in pairs:
        found.setdefault(pair[1].lower(), unescape(pair[2] or pair[3] or pair[4] or "").strip())
    return found


def _plain(data: bytes) -> str:
    return " ".join(unescape(data.decode("utf-8", "replace")).split())


def _values(metas: list[tuple[str, str]], names: tuple[str, ...]) -> Iterator[str]:
    """Contents that are not empty, in the order of the names."""
    for wanted in names:
        yield from (" ".join(content.split()) for name, content in metas if name == wanted and content.strip())


def _title(metas: list[tuple[str, str]], element: str | None) -> str | None:
    return next(_values(metas, _TITLES), None) or element or None


def _language(metas: list[tuple[str, str]], element: str | None) -> str | None:
    for value in (element or "", *_values(metas, _LANGUAGES)):
        declared = value.strip().lower().replace("_", "-")
        if _LANGUAGE.fullmatch(declared):
            return declared
    return None


def _date(metas: list[tuple[str, str]], dated: _Dated) -> str | None:
    described = [match[1].decode("utf-8", "replace") for block in dated.blocks for match in _LD_DATE.finditer(block)]
    candidates = (*_values(metas, _DATES[:2]), *described, *_values(metas, _DATES[2:]), *dated.times)
    return next((iso for iso in map(_iso, candidates) if iso), None)


def _iso(value: str) -> str | None:
    match = _ISO.match(value.strip())
    if match is None:
        return None
    year, month, day, time, zone = match.groups()
    try:
        written = date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return None
    return f"{written}T{time}{zone or ''}" if time else written


def _licence(data: bytes, links: list[tuple[str, str]], dated: _Dated, url: str | None) -> str | None:
    """A declared licence; else the one Creative Commons licence the page links to, if it is the only one."""
    declared = [href for rel, href in links if href and {"license", "licence"} & set(rel.split())]
    described = [match[1].decode("utf-8", "replace") for block in dated.blocks for match in _LD_LICENCE.finditer(block)]
    if declared or described:
        address = _absolute((declared or described)[0], url)
        return _plain_commons(address) if address else None
    if b"creativecommons.org/" not in data:
        return None
    commons = {_plain_commons(match[0].decode()) for match in _COMMONS.finditer(data)}
    return commons.pop() if len(commons) == 1 else None


def _plain_commons(address: str) -> str:
    """A Creative Commons licence without the language or form it is shown in; other addresses as they are."""
    match = _COMMONS_LICENCE.match(address)
    return f"https://{match[1].lower()}" if match else address


def _absolute(address: str, url: str | None) -> str | None:
    try:
        return urljoin(url or "", address)
    except ValueError:  # a malformed host
        return None


def _robots(metas: list[tuple[str, str]]) -> Iterator[str]:
    for name, content in metas:
        if name in _TDM:
            yield f"{name}: {content}" if name == "tdm-policy" else f"{name}: {content.lower()}"
        elif name in _ROBOTS:
            directives = [directive.strip().lower() for directive in content.split(",")]
            yield from (directive if name == "robots" else f"{name}: {directive}" for directive in directives if directive)


def _canonical(links: list[tuple[str, str]], url: str | None) -> str | None:
    return next((_absolute(href, url) for rel, href in links if "canonical" in rel.split() and href), None)
