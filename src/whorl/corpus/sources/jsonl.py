"""corpus/sources/jsonl: one JSON object per line, one document per object.

Does not decompress and does not guess which field holds the text.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Literal

from whorl.core.errors import DataError
from whorl.core.quantity import Bytes
from whorl.corpus.files import Unit, Unreadable
from whorl.corpus.rows import DocumentRows, Harvest, Skip
from whorl.corpus.sources import FieldedFiles

__all__ = ["Jsonl"]


class Jsonl(FieldedFiles):
    """Files matching a glob pattern, e.g. `dump/*.jsonl`."""

    on_error: Literal["fail", "skip"] = "fail"  # a malformed line stops the run, or is counted and left out
    max_line: Bytes = 64_000_000

    def read(self, unit: Unit) -> Iterator[Harvest]:
        """See Source.read. Blank lines are not rows. Raises DataError naming file and line when on_error is `fail`."""
        rows = DocumentRows({"licence": self.licence})
        for number, line in self._lines(unit, rows):
            place = f"{unit.name}:{number}"
            try:
                self._add(rows, _parsed(line, self.max_line), unit, place)
            except Unreadable as fault:
                self._refuse(rows, Skip(place, unit.name, fault.reason, fault.detail))
            if rows.is_full:
                yield rows.harvest()
                rows = DocumentRows({"licence": self.licence})
        yield rows.harvest()

    def _lines(self, unit: Unit, rows: DocumentRows) -> Iterator[tuple[int, bytes]]:
        try:
            with unit.path.open("rb") as handle:
                lines = _bounded_lines(handle, self.max_line)
                first = next(lines, None)
                if first is None:
                    rows.skip(Skip(unit.name, unit.name, "empty", f"{unit.size_bytes} bytes"))
                    return
                yield first
                yield from lines
        except OSError as error:
            self._refuse(rows, Skip(unit.name, unit.name, "unreadable", error.strerror or type(error).__name__))

    def _refuse(self, rows: DocumentRows, skip: Skip) -> None:
        if self.on_error == "fail":
            raise DataError(f"{skip.id}: {skip.reason} ({skip.detail}); set on_error: skip to count and leave out such rows")
        rows.skip(skip)

    def _add(self, rows: DocumentRows, value: Mapping[str, Any], unit: Unit, place: str) -> None:
        text = value.get(self.text_field)
        if not isinstance(text, str):
            fields = ", ".join(sorted(value))[:200]
            raise Unreadable("no_text", f"no text in '{self.text_field}' (fields: {fields}); set text_field")
        doc_id = place if self.id_field is None else value.get(self.id_field)
        if not isinstance(doc_id, str | int):
            raise Unreadable("no_id", f"no id in '{self.id_field}'; set id_field")
        prefix = f"{self.name}/" if self.name and self.id_field is not None else ""
        named = {column: _shown(value.get(field)) for column, field in self.columns.items()}
        meta = {field: value[field] for field in self.meta_fields if field in value}
        rows.add({"source": unit.name, **named, "id": f"{prefix}{doc_id}", "text": text}, meta)


def _bounded_lines(handle: BinaryIO, max_line: int) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank with their numbers, none held beyond `max_line + 1` bytes: the rest of it is read past."""
    number = 0
    while line := handle.readline(max_line + 1):
        number += 1
        rest = line
        while len(rest) > max_line and not rest.endswith(b"\n"):
            rest = handle.readline(max_line + 1)
        if line.strip():
            yield number, line.strip()


def _parsed(line: bytes, max_line: int) -> Mapping[str, Any]:
    if len(line) > max_line:
        raise Unreadable("too_large", f"want lines of at most {max_line} bytes")
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Unreadable("not_utf8", f"at byte {error.start} of the line: {error.reason}") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise Unreadable("bad_json", str(error)[:200]) from error
    if not isinstance(value, dict):
        raise Unreadable("bad_json", f"want an object, got {type(value).__name__}")
    return value


def _shown(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, sort_keys=True)
