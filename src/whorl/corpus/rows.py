"""corpus/rows: what a source hands over: documents as columns, and what it had to skip, with the reason.

Rows are gathered one by one here and nowhere else; everything after a source works on columns.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa

from whorl.core.records import DOCUMENTS

__all__ = ["FREE_COLUMNS", "DocumentRows", "Harvest", "Skip", "foreign_columns", "legible"]

_FULL_CHARS = 8_000_000
_FULL_ROWS = 65_536
FREE_COLUMNS = ("source", "url", "licence", "language", "date", "rights", "added")  # columns a recipe may fill from a field

_Row = Mapping[str, str | None]


class Skip(NamedTuple):
    """Something that looked like a document and could not become one."""

    id: str
    source: str
    reason: str  # one word of a small vocabulary, counted
    detail: str = ""


class Harvest(NamedTuple):
    """A batch read from a unit: documents (schema DOCUMENTS) and what was skipped among them."""

    documents: pa.Table
    skipped: tuple[Skip, ...]


@dataclass
class DocumentRows:
    """Grows row by row, hands over a Harvest when asked, and begins again."""

    defaults: Mapping[str, str | None] = field(default_factory=dict)  # columns equal in every row
    _rows: list[_Row] = field(default_factory=list)
    _skipped: list[Skip] = field(default_factory=list)
    _num_chars: int = 0

    def add(self, values: Mapping[str, str | None], meta: Mapping[str, Any] | None = None) -> None:
        """One document; `meta` may hold what JSON cannot (dates, bytes), which is written as text.

        A document with an empty text, or with anything that is not Unicode (a lone surrogate), is skipped with that reason.
        """
        text = values["text"]
        if not text or text.isspace():
            self.skip(Skip(str(values["id"]), str(values["source"]), "empty"))
            return
        row = {**self.defaults, **values, "meta": json.dumps(meta, sort_keys=True, default=str) if meta else None}
        self._rows.append(row)
        self._num_chars += sum(map(len, filter(None, row.values())))

    def skip(self, skip: Skip) -> None:
        """One thing that did not become a document."""
        self._skipped.append(Skip(*map(legible, skip)))
        self._num_chars += len(skip.id) + len(skip.detail)

    @property
    def is_full(self) -> bool:
        """Whether it is time to hand over."""
        return self._num_chars >= _FULL_CHARS or len(self._rows) + len(self._skipped) >= _FULL_ROWS

    def harvest(self) -> Harvest:
        """What was gathered since the last time, as columns."""
        try:
            documents = _table(self._rows)
        except UnicodeEncodeError:  # rare: only now is every row looked at
            self._drop_not_unicode()
            documents = _table(self._rows)
        skipped = tuple(self._skipped)
        self._rows, self._skipped, self._num_chars = [], [], 0
        return Harvest(documents, skipped)

    def _drop_not_unicode(self) -> None:
        kept: list[_Row] = []
        for row in self._rows:
            odd = [name for name, value in row.items() if value is not None and not _is_unicode(value)]
            if odd:
                self.skip(Skip(str(row["id"]), str(row["source"]), "not_unicode", f"in {', '.join(odd)}"))
            else:
                kept.append(row)
        self._rows = kept


def foreign_columns(columns: Sequence[str]) -> list[str]:
    """Those of the names that a recipe may not fill."""
    return sorted(set(columns) - set(FREE_COLUMNS))


def legible(text: str) -> str:
    """The text with lone surrogates written as escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _table(rows: Sequence[_Row]) -> pa.Table:
    return pa.table({name: [row.get(name) for row in rows] for name in DOCUMENTS.names}, schema=DOCUMENTS)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
