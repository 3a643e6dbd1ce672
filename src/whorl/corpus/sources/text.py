"""corpus/sources/text: UTF-8 text files, one document per file or per paragraph.

Does not guess encodings: a file that is not UTF-8, holds NUL bytes, is empty or too large is skipped with that reason.
"""

import re
from collections.abc import Iterator
from typing import Literal

from whorl.core.quantity import Bytes
from whorl.corpus.files import Unit, Unreadable, read_text
from whorl.corpus.rows import DocumentRows, Harvest, Skip
from whorl.corpus.sources import FileSource

__all__ = ["Text"]

_BLANK_LINES = re.compile(r"(?:[ \t]*\r?\n){2,}")


class Text(FileSource):
    """Files matching a glob pattern, e.g. `notes/**/*.md`."""

    split: Literal["file", "paragraph"] = "file"  # paragraphs are parted by blank lines
    language: str | None = None
    max_file: Bytes = 64_000_000  # a larger file is skipped: as one document it would fill a whole shard

    def read(self, unit: Unit) -> Iterator[Harvest]:
        """See Source.read. Ids: the file's name, and `#number` of the paragraph."""
        rows = DocumentRows({"licence": self.licence, "language": self.language})
        try:
            text = read_text(unit, self.max_file, max_ratio=self.max_ratio)
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
