"""corpus/sources/jsonl: one JSON object per line, one document per object.

Does not guess which field holds the text.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from whorl.core.quantity import Bytes
from whorl.corpus.files import Unit, Unreadable
from whorl.corpus.lines import Line, bounded_lines
from whorl.corpus.rows import DocumentRows, Harvest, Skip
from whorl.corpus.sources import FieldedFiles

__all__ = ["Jsonl"]

_MARK = b"\xef\xbb\xbf"


class Jsonl(FieldedFiles):
    """Files matching a glob pattern, e.g. `dump/*.jsonl` or `dump/*.jsonl.zst`."""

    max_line: Bytes = 64_000_000

    def read(self, unit: Unit) -> Iterator[Harvest]:
        """See Source.read. Blank lines are not rows. Raises DataError naming file and line when on_error is `fail`.

        A file that breaks off is kept up to its last whole line, and the break is recorded at the line it fell into.
        """
        rows = self.new_rows()
        for line in self._lines(unit, rows):
            try:
                self.add(rows, _parsed(line), unit=unit, place=f"{unit.name}:{line.number}")
            except (Unreadable, RecursionError) as fault:
                self.refuse(rows, _skip(unit, line.number, fault))
            if rows.is_full:
                yield rows.harvest()
        yield rows.harvest()

    def _lines(self, unit: Unit, rows: DocumentRows) -> Iterator[Line]:
        """Lines that are not blank; what is wrong with the file goes to `rows`."""
        number = 0
        is_empty = True
        try:
            for line in self._all_lines(unit):
                number = line.number
                if not line.is_blank:
                    is_empty = False
                    yield line
        except Unreadable as fault:
            self.refuse(rows, _skip(unit, number + 1 if number else 0, fault))
            return
        if is_empty:
            rows.skip(Skip(unit.name, unit.name, "empty", f"{unit.size_bytes} bytes"))

    def _all_lines(self, unit: Unit) -> Iterator[Line]:
        with self.opened(unit) as stream:
            yield from bounded_lines(stream, self.max_line)


def _skip(unit: Unit, number: int, fault: Unreadable | RecursionError) -> Skip:
    place = f"{unit.name}:{number}" if number else unit.name
    if isinstance(fault, RecursionError):
        return Skip(place, unit.name, "bad_json", "nested too deeply")
    return Skip(place, unit.name, fault.reason, fault.detail)


def _parsed(line: Line) -> Mapping[str, Any]:
    if not line.data:
        raise Unreadable("too_large", f"a line of {line.num_bytes} bytes; set max_line")
    data = line.data.removeprefix(_MARK) if line.number == 1 else line.data
    try:
        value = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Unreadable("not_utf8", f"at byte {error.start} of the line: {error.reason}") from error
    except ValueError as error:  # not JSON, or a number of thousands of digits
        raise Unreadable("bad_json", str(error)[:200]) from error
    if not isinstance(value, dict):
        raise Unreadable("bad_json", f"want an object, got {type(value).__name__}")
    return value
