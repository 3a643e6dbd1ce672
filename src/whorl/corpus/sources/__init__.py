"""corpus/sources: where documents come from. A door.

A source lists its units (files) and reads one at a time; it never cleans, filters or remembers. Whatever cannot become a
document is handed over as a Skip with a reason.

To add one, write a file here with one class deriving from Source (`units`, `read`, `content`), and its test.
"""

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path

from whorl.core.config import Member
from whorl.corpus.files import Unit, content_hash
from whorl.corpus.rows import Harvest

__all__ = ["Source"]


class Source(Member, is_door=True):
    """A supply of documents. Ids are unique within a source and the same on every reading of the same content."""

    name: str = ""  # put before ids and sources, so that two folders may hold files of equal names

    @abstractmethod
    def units(self, root: Path) -> list[Unit]:
        """What there is to read, by name; `root` is the project folder. Raises DataError when there is nothing."""

    @abstractmethod
    def read(self, unit: Unit) -> Iterator[Harvest]:
        """The documents of one unit in a fixed order, in batches that fit memory."""

    def content(self, root: Path) -> str:
        """Hash of everything this source would read."""
        return content_hash(self.units(root))
