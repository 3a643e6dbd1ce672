"""corpus/sources/csv: one document per row of comma-separated files (RFC 4180), or tab-separated ones by `delimiter`.

Does not guess the dialect, nor what the fields are called: they stand in the first row, or in `header`. A row with too few or
too many fields, an open quote, NULs or bytes that are not UTF-8 is a bad row.
"""

import csv
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pydantic import Field

from whorl.core.errors import DataError
from whorl.core.quantity import Bytes
from whorl.corpus.files import Unit, Unreadable
from whorl.corpus.lines import Line, bounded_lines
from whorl.corpus.rows import DocumentRows, Harvest, Skip
from whorl.corpus.sources import FieldedFiles

__all__ = ["Csv"]

_MARK = b"\xef\xbb\xbf"
_MAX_FIELD = 2**31 - 1  # the reader's own limit is one for the whole process; rows are bounded here instead


class _Row(NamedTuple):
    number: int  # of its first line
    values: Sequence[str]
    fault: Unreadable | None = None


class Csv(FieldedFiles):
    """Files matching a glob pattern, e.g. `tables/*.csv`."""

    delimiter: str = Field(",", min_length=1, max_length=1)
    quote: str = Field('"', min_length=1, max_length=1)
    header: tuple[str, ...] = ()  # names of the fields; empty: the first row has them
    max_row: Bytes = 16_000_000

    def read(self, unit: Unit) -> Iterator[Harvest]:
        """See Source.read. Ids: file name and number of the row's first line.

        Raises DataError when a named field is not in the header, and, when on_error is `fail`, at the first bad row.
        """
        rows = self.new_rows()
        names = list(self.header)
        num_rows = 0
        for row in self._rows(unit, rows):
            if not names and row.fault is None:
                names = self._checked(unit, row.values)
                continue
            num_rows += 1
            place = f"{unit.name}:{row.number}"
            try:
                self.add(rows, _fields(row, names), unit=unit, place=place)
            except Unreadable as fault:
                self.refuse(rows, Skip(place, unit.name, fault.reason, fault.detail))
            if rows.is_full:
                yield rows.harvest()
        if not num_rows:
            rows.skip(Skip(unit.name, unit.name, "empty", "no rows"))
        yield rows.harvest()

    def _checked(self, unit: Unit, names: Sequence[str]) -> list[str]:
        twice = {name for name in names if names.count(name) > 1}
        missing = [name for name in self.wanted if name not in names]
        if missing or twice & set(self.wanted):
            what = f"no field {', '.join(missing)}" if missing else f"two fields named {', '.join(sorted(twice))}"
            shown = ", ".join(names)[:200]
            raise DataError(f"{unit.name}: {what} (fields: {shown}); set text_field, delimiter, or header if it has none")
        return list(names)

    def _rows(self, unit: Unit, rows: DocumentRows) -> Iterator[_Row]:
        """Rows that are not blank; what is wrong with the file goes to `rows`."""
        feed = _Feed(self.max_row)
        try:
            for row in self._all_rows(unit, feed):
                if row.values or row.fault:
                    yield row
        except Unreadable as fault:
            place = f"{unit.name}:{feed.number + 1}" if feed.number else unit.name
            self.refuse(rows, Skip(place, unit.name, fault.reason, fault.detail))

    def _all_rows(self, unit: Unit, feed: "_Feed") -> Iterator[_Row]:
        with self.opened(unit) as stream:
            feed.lines = bounded_lines(stream, self.max_row)
            while (row := self._next(feed)) is not None:
                yield row

    def _next(self, feed: "_Feed") -> _Row | None:
        """The next row, good or bad, or None at the end."""
        csv.field_size_limit(_MAX_FIELD)
        feed.begin_row()
        try:
            values = next(csv.reader(feed, delimiter=self.delimiter, quotechar=self.quote, strict=True), None)
        except csv.Error as error:
            return _Row(feed.first, (), Unreadable("bad_csv", f"lines {feed.first} to {feed.number}: {error}"))
        except _TooLarge:
            detail = f"lines {feed.first} to {feed.number} are more than {self.max_row} bytes: an open quote, or set max_row"
            return _Row(feed.first, (), Unreadable("too_large", detail))
        return None if values is None else _Row(feed.first, values, feed.fault)


class _TooLarge(Exception):  # noqa: N818 - passes through the csv reader, never out of this file
    """A row does not end within the limit."""


class _Feed(Iterator[str]):
    """Lines as text for a csv reader that is asked for one row at a time."""

    def __init__(self, max_row: int) -> None:
        self.lines: Iterator[Line] = iter(())
        self.number = 0  # of the last line handed out
        self._max_row = max_row
        self.begin_row()

    def begin_row(self) -> None:
        self.first = self.number + 1
        self.fault: Unreadable | None = None
        self._num_bytes = 0

    def __next__(self) -> str:
        line = next(self.lines)
        self.number = line.number
        self._num_bytes += line.num_bytes
        if self._num_bytes > self._max_row:
            raise _TooLarge
        data = line.data.removeprefix(_MARK) if line.number == 1 else line.data
        if b"\0" in data:
            self.fault = Unreadable("has_nul", f"in line {line.number}")
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            self.fault = Unreadable("not_utf8", f"at byte {error.start} of line {line.number}: {error.reason}")
            return data.decode("utf-8", "replace")


def _fields(row: _Row, names: Sequence[str]) -> dict[str, str]:
    if row.fault is not None:
        raise row.fault
    if len(row.values) != len(names):
        raise Unreadable("ragged", f"{len(row.values)} fields, the header has {len(names)}")
    return dict(zip(names, row.values, strict=True))
