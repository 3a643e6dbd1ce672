"""corpus/sources/text: UTF-8 text files, one document per file or per paragraph.

Does not guess encodings: a file that is not UTF-8, holds NUL bytes, is empty or too large is skipped with that reason.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from whorl.core.config import UNHASHED
from whorl.core.errors import DataError
from whorl.core.quantity import Bytes
from whorl.corpus.files import Unit, Unreadable, find_units, read_text
from whorl.corpus.rows import DocumentRows, Harvest, Skip
from whorl.corpus.sources import Source

__all__ = ["Text"]

_BLANK_LINES = re.compile(r"(?:[ \t]*\r?\n){2,}")


class Text(Source):
    """Files matching a glob pattern, e.g. `notes/**/*.md`."""

    path: str = Field(json_schema_extra=UNHASHED)  # relative to the project folder
    split: Literal["file", "paragraph"] = "file"  # paragraphs are parted by blank lines
    licence: str | None = None
    language: str | None = None
    max_file: Bytes = 64_000_000  # a larger file is skipped: as one document it would fill a whole shard

    def units(self, root: Path) -> list[Unit]:
        """See Source.units."""
        found = find_units(root, self.path, self.name)
        if not found:
            raise DataError(f"no file matches '{self.path}' below {root}; set path to a glob pattern like 'notes/**/*.txt'")
        return found

    def read(self, unit: Unit) -> Iterator[Harvest]:
        """See Source.read. Ids: the file's name, and `#number` of the paragraph."""
        rows = DocumentRows({"licence": self.licence, "language": self.language})
        try:
            text = read_text(unit, self.max_file)
        except Unreadable as fault:
            rows.skip(Skip(unit.name, unit.name, fault.reason, fault.detail))
            text = ""
        for number, piece in enumerate(self._pieces(text), start=1):
            doc_id = unit.name if self.split == "file" else f"{unit.name}#{number}"
            rows.add({"id": doc_id, "text": piece, "source": unit.name})
        yield rows.harvest()

    def _pieces(self, text: str) -> list[str]:
        if not text:
            return []
        return [text] if self.split == "file" else [piece for piece in _BLANK_LINES.split(text) if piece.strip()]
