"""corpus/rows: what a source hands over: documents as columns, and what it had to skip, with the reason.

Rows are gathered one by one here and nowhere else; everything after a source works on columns.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa

from whorl.core.records import DOCUMENTS

__all__ = ["FREE_COLUMNS", "DocumentRows", "Harvest", "Skip", "foreign_columns"]

_FULL_BYTES = 8_000_000
FREE_COLUMNS = ("source", "url", "licence", "language", "date", "rights", "added")  # columns a recipe may fill from a field


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
    """Grows row by row, then becomes a Harvest."""

    defaults: Mapping[str, str | None] = field(default_factory=dict)  # columns equal in every row
    _columns: dict[str, list[str | None]] = field(default_factory=lambda: {name: [] for name in DOCUMENTS.names})
    _skipped: list[Skip] = field(default_factory=list)
    _num_bytes: int = 0

    def add(self, values: Mapping[str, str | None], meta: Mapping[str, Any] | None = None) -> None:
        """One document. An empty text, or one that is not Unicode text (a lone surrogate), is skipped with that reason."""
        text = values["text"] or ""
        reason = "empty" if not text.strip() else None if _is_unicode(text) else "not_unicode"
        if reason is not None:
            self.skip(Skip(str(values["id"]), str(values["source"]), reason))
            return
        row = {**self.defaults, **values, "meta": json.dumps(meta, ensure_ascii=True, sort_keys=True) if meta else None}
        for name, column in self._columns.items():
            column.append(row.get(name))
        self._num_bytes += len(text)

    def skip(self, skip: Skip) -> None:
        """One thing that did not become a document."""
        self._skipped.append(skip)

    @property
    def is_full(self) -> bool:
        """Whether it is time to hand over and begin again."""
        return self._num_bytes >= _FULL_BYTES or len(self._skipped) >= 100_000

    def harvest(self) -> Harvest:
        """The rows as columns."""
        return Harvest(pa.table(self._columns, schema=DOCUMENTS), tuple(self._skipped))


def foreign_columns(columns: Sequence[str]) -> list[str]:
    """Those of the names that a recipe may not fill."""
    return sorted(set(columns) - set(FREE_COLUMNS))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
