"""corpus/sources: where documents come from. A door.

A source lists its units (files) and reads one at a time; it never cleans, filters or remembers. Whatever cannot become a
document is handed over as a Skip with a reason.

To add one, write a file here with one class deriving from Source (`units`, `read`, `content`), and its test.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from whorl.core.config import UNHASHED, Member
from whorl.core.errors import DataError
from whorl.corpus.files import Unit, content_hash, find_units
from whorl.corpus.rows import FREE_COLUMNS, Harvest, foreign_columns

__all__ = ["FieldedFiles", "Source"]


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


class FieldedFiles(Source):
    """Files matching a glob pattern whose rows have named fields; how a row is read is the member's."""

    path: str = Field(json_schema_extra=UNHASHED)  # relative to the project folder
    text_field: str = "text"
    id_field: str | None = None  # None: file name and row number
    columns: Mapping[str, str] = {}  # document column -> field, e.g. {url: link, date: published}
    meta_fields: tuple[str, ...] = ()  # copied into the document's meta
    licence: str | None = None

    @model_validator(mode="after")
    def _columns_exist(self) -> Self:
        if foreign := foreign_columns(list(self.columns)):
            raise ValueError(f"columns: cannot fill {', '.join(foreign)}; want some of {', '.join(FREE_COLUMNS)}")
        return self

    def units(self, root: Path) -> list[Unit]:
        """See Source.units."""
        found = find_units(root, self.path, self.name)
        if not found:
            raise DataError(f"no file matches '{self.path}' below {root}; set path to a glob pattern like 'dump/*.{self.use}'")
        return found
