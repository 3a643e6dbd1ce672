"""corpus/filters/urls: keep or drop documents by where they come from: lists of hosts, domains, address prefixes and words.

A list is written in the recipe or read from a file, whose content counts as part of the recipe. Nothing is looked up: a domain
holds every host that ends in it at a dot, and that is all that is known of domains. Denied beats allowed. Documents without
a URL are kept unless `without_url` says otherwise.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from whorl.core.artifact import file_sha256
from whorl.core.config import UNHASHED, Config
from whorl.core.errors import DataError
from whorl.corpus.document_batch import DocumentBatch
from whorl.corpus.filters import Filter
from whorl.corpus.verdict import Choice, Figure

__all__ = ["UrlFile", "UrlList", "Urls"]

Kind = Literal["hosts", "domains", "prefixes", "words"]

_UNLISTED = "unlisted"
# Scheme and user are optional; the port is left out; what follows a # never reaches a server.
_PARTS = (
    r"^\s*(?:(?:[A-Za-z][A-Za-z0-9+.\-]*:)?//)?(?:[^/?#@\s]*@)?(?P<host>\[[^\]/]*\]|[^/?#:\s]*)(?::[0-9]*)?(?P<path>[^#\s]*)"
)
_ADDRESS = re.compile(r"[0-9a-fA-F:]*:[0-9a-fA-F:]+|[0-9.]+")
_BETWEEN_WORDS = r"[^\p{L}\p{N}]+"


class UrlFile(Config):
    """One entry per line; empty lines and what follows a `#` are left out, as is an address before a name (hosts files)."""

    path: str = Field(json_schema_extra=UNHASHED)  # relative to the project folder
    holds: Kind = "domains"


class UrlList(Config):
    """What a URL may match. Case does not count, except in the path of a prefix."""

    hosts: tuple[str, ...] = ()  # exactly: www.example.org
    domains: tuple[str, ...] = ()  # and everything below: example.org
    prefixes: tuple[str, ...] = ()  # a host and the beginning of its path: example.org/shop/
    words: tuple[str, ...] = ()  # anywhere between characters that are neither letters nor digits
    files: tuple[UrlFile, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing can match."""
        return not (self.hosts or self.domains or self.prefixes or self.words or self.files)


class Urls(Filter):
    """With an `allow` list, a URL has to match it; a URL that matches the `deny` list is dropped in any case."""

    measures: ClassVar[tuple[str, ...]] = ("deny", "allow")

    deny: UrlList = UrlList()
    allow: UrlList = UrlList()
    without_url: Literal["keep", "drop"] = "keep"

    def raw_inputs(self, root: Path) -> Mapping[str, str]:
        """See Filter.raw_inputs. Raises DataError when a file cannot be read."""
        return {
            f"{name}.files.{number}": _content(root / file.path)
            for name, rules in (("deny", self.deny), ("allow", self.allow))
            for number, file in enumerate(rules.files)
        }

    def figures(self, batch: DocumentBatch) -> Mapping[str, Figure]:
        """See Filter.figures: what was matched, `deny domain example.org`; null without a URL."""
        urls = _Urls.of(batch.column("url"))
        denied, allowed = (
            pc.binary_join_element_wise(name, _matches(urls, _table(rules, batch.root)), " ")
            for name, rules in (("deny", self.deny), ("allow", self.allow))
        )
        unlisted = pc.if_else(pc.is_valid(urls.whole), _UNLISTED, pa.scalar(None, pa.string()))
        return {"urls.match": pc.coalesce(denied, allowed, unlisted)}

    def rules(self, figures: Mapping[str, Figure]) -> Sequence[Choice]:
        """See Filter.rules."""
        match = figures["urls.match"]
        unlisted = [] if self.allow.is_empty else [Choice("url_not_allowed", match, denied=frozenset([_UNLISTED]))]
        denied = pc.if_else(pc.starts_with(match, "deny "), match, pa.scalar(None, pa.string()))
        missing = [] if self.without_url == "keep" else [Choice("no_url", match, is_null_allowed=False)]
        return [*missing, Choice("denied_url", denied, allowed=frozenset()), *unlisted]


class _Urls(NamedTuple):
    """A column of URLs taken apart."""

    whole: pa.Array
    host: pa.Array  # lower case, without port and final dot
    path: pa.Array

    @classmethod
    def of(cls, column: pa.Array) -> "_Urls":
        whole = pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), pa.scalar(None, pa.string()), column)
        parts = pc.extract_regex(whole, _PARTS)
        host = pc.utf8_rtrim(pc.utf8_lower(pc.struct_field(parts, "host")), characters=".")
        return cls(whole, host, pc.struct_field(parts, "path"))


class _Table(NamedTuple):
    """A list ready to be looked up."""

    hosts: frozenset[str]
    domains: frozenset[str]
    prefixes: Mapping[str, tuple[str, ...]]  # by host, longest first
    words: pa.Array


def _matches(urls: _Urls, table: _Table) -> pa.Array:
    """For every URL the first thing it matches, `domain example.org`, or null."""
    encoded = urls.host.dictionary_encode()
    names = [_ascii(host) for host in encoded.dictionary.to_pylist()]
    by_host = pa.array([_host_match(name, table) for name in names], pa.string()).take(encoded.indices)
    return pc.coalesce(by_host, _prefix_matches(urls, names, indices=encoded.indices, table=table), _word_matches(urls, table))


def _host_match(host: str, table: _Table) -> str | None:
    if host in table.hosts:
        return f"host {host}"
    domain = host
    while domain and domain not in table.domains:
        domain = domain.partition(".")[2]
    return f"domain {domain}" if domain else None


def _prefix_matches(urls: _Urls, names: Sequence[str], *, indices: pa.Array, table: _Table) -> pa.Array:
    found: list[str | None] = [None] * len(urls.whole)
    wanted = pa.array([name in table.prefixes for name in names], pa.bool_()).take(indices)
    rows = pc.indices_nonzero(pc.fill_null(wanted, False))  # noqa: FBT003 - arrow takes the value by place
    for row, name, path in zip(rows.to_pylist(), indices.take(rows).to_pylist(), urls.path.take(rows).to_pylist(), strict=True):
        prefix = next((prefix for prefix in table.prefixes[names[name]] if path.startswith(prefix)), None)
        found[row] = None if prefix is None else f"prefix {names[name]}{prefix}"
    return pa.array(found, pa.string())


def _word_matches(urls: _Urls, table: _Table) -> pa.Array:
    found: list[str | None] = [None] * len(urls.whole)
    if len(table.words):
        words = pc.split_pattern_regex(pc.utf8_lower(urls.whole), _BETWEEN_WORDS)
        flat = pc.list_flatten(words)
        at = pc.indices_nonzero(pc.is_in(flat, table.words))
        rows = pc.list_parent_indices(words).take(at).to_pylist()
        for row, word in zip(reversed(rows), reversed(flat.take(at).to_pylist()), strict=True):
            found[row] = f"word {word}"  # backwards: the first one stays
    return pa.array(found, pa.string())


def _table(rules: UrlList, root: Path) -> _Table:
    files = tuple((root / file.path, file.holds) for file in rules.files)
    stamps = tuple(_stamp(path) for path, _ in files)
    return _read_table(rules, files, stamps)


@lru_cache(maxsize=8)
def _read_table(rules: UrlList, files: tuple[tuple[Path, Kind], ...], stamps: tuple[tuple[int, int], ...]) -> _Table:
    del stamps  # part of the key: a file that changed is read again
    entries: dict[Kind, list[str]] = {
        "hosts": list(rules.hosts),
        "domains": list(rules.domains),
        "prefixes": list(rules.prefixes),
        "words": list(rules.words),
    }
    for path, holds in files:
        entries[holds] += _lines(path)
    hosts, domains = (frozenset(_host(entry) for entry in entries[kind]) - {""} for kind in ("hosts", "domains"))
    words = sorted({entry.strip().lower() for entry in entries["words"]} - {""})
    return _Table(hosts, domains, _prefixes(entries["prefixes"]), pa.array(words, pa.string()))


def _prefixes(entries: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    grouped: dict[str, set[str]] = {}
    if entries:
        urls = _Urls.of(pa.array(entries, pa.string()))
        for host, path in zip(urls.host.to_pylist(), urls.path.to_pylist(), strict=True):
            grouped.setdefault(_ascii(host), set()).add(path)
    return {host: tuple(sorted(paths, key=lambda path: (-len(path), path))) for host, paths in grouped.items()}


def _host(entry: str) -> str:
    return _ascii(entry.strip().lower().strip("."))


def _ascii(host: str) -> str:
    """A name in the letters the domain name system knows; one that has no such form stays as it is."""
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host


def _lines(path: Path) -> Iterator[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot read this list of URLs ({error}); want UTF-8 text, one entry per line") from error
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.partition("#")[0].split()
        if len(fields) > 1 and not _ADDRESS.fullmatch(fields[0]):
            raise DataError(f"{path}:{number}: want one entry per line, got {line.strip()[:80]!r}")
        yield from fields[len(fields) > 1 :]  # an address may stand before names


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(f"{path}: no such list of URLs; paths start at the project folder") from error
    return found.st_mtime_ns, found.st_size


def _content(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise DataError(
            f"{path}: cannot read this list of URLs ({error.strerror}); paths start at the project folder"
        ) from error
