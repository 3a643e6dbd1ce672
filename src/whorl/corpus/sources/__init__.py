"""corpus/sources: where documents come from. A door.

A source lists its units (files) and reads one at a time; it never cleans, filters or remembers. Whatever cannot become a
document is handed over as a Skip with a reason.

To add one, write a file here with one class deriving from Source (`units`, `read`, `content`), and its test.
"""

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal, Self

from pydantic import BaseModel, Field, model_validator

from whorl.core.config import UNHASHED, Member
from whorl.core.errors import DataError
from whorl.core.quantity import Bytes
from whorl.corpus.files import Unit, Unreadable, content_hash, find_units, open_decoded
from whorl.corpus.rows import FREE_COLUMNS, DocumentRows, Harvest, Skip, foreign_columns

__all__ = ["FieldedFiles", "FileSource", "Source", "code_versions"]


class Source(Member, is_door=True):
    """A supply of documents. Ids are unique within a source and the same on every reading of the same content."""

    code_version: ClassVar[int] = 1  # raise it when the same files and config would give other documents

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

    def code(self) -> str:
        """Which versions of the code its documents depend on."""
        return code_versions(self)


def code_versions(member: Member) -> str:
    """Versions of the code behind a member and the members inside it, e.g. `warc 2, main_content 1`."""
    inner = [value for value in (getattr(member, name) for name in type(member).model_fields) if isinstance(value, BaseModel)]
    own = f"{member.use} {getattr(type(member), 'code_version', 1)}"
    return ", ".join([own, *(code_versions(value) for value in inner if isinstance(value, Member))])


class FileSource(Source):
    """Files matching a glob pattern; compressed ones (.gz .zst .bz2 .xz) are unpacked while they are read."""

    path: str = Field(json_schema_extra=UNHASHED)  # relative to the project folder, or an address like s3://bucket/*.gz
    licence: str | None = None
    max_unpacked: Bytes = 100_000_000_000  # out of one compressed file; what goes on beyond it is recorded as a bomb
    max_ratio: float = Field(200, gt=1)  # bytes out for one in, past the first 16 MB; prose packs 3 to 10 times

    def units(self, root: Path) -> list[Unit]:
        """See Source.units."""
        return self.matching(self.path, root)

    def matching(self, pattern: str, root: Path) -> list[Unit]:
        """Files of a pattern. Raises DataError when there is none."""
        found = find_units(root, pattern, self.name)
        if not found:
            raise DataError(f"no file matches '{pattern}' below {root}; set path to a glob pattern like 'dump/**/*.{self.use}'")
        return found

    def opened(self, unit: Unit) -> BinaryIO:
        """The unit's bytes, unpacked. Raises Unreadable, now or while it is read."""
        return open_decoded(unit, max_bytes=self.max_unpacked, max_ratio=self.max_ratio)


class FieldedFiles(FileSource):
    """Files matching a glob pattern whose rows have named fields; how a row is read is the member's."""

    text_field: str = "text"
    id_field: str | None = None  # None: file name and row number
    columns: Mapping[str, str] = {}  # document column -> field, e.g. {url: link, date: published}
    meta_fields: tuple[str, ...] = ()  # copied into the document's meta
    on_error: Literal["fail", "skip"] = "fail"  # what cannot be read stops the run, or is counted and left out

    @model_validator(mode="after")
    def _columns_exist(self) -> Self:
        if foreign := foreign_columns(list(self.columns)):
            raise ValueError(f"columns: cannot fill {', '.join(foreign)}; want some of {', '.join(FREE_COLUMNS)}")
        return self

    @property
    def wanted(self) -> list[str]:
        """Every field that is read, once."""
        named = (self.text_field, self.id_field, *self.columns.values(), *self.meta_fields)
        return list(dict.fromkeys(name for name in named if name is not None))

    def new_rows(self) -> DocumentRows:
        """An empty batch."""
        return DocumentRows({"licence": self.licence})

    def add(self, rows: DocumentRows, fields: Mapping[str, Any], *, unit: Unit, place: str) -> None:
        """One row as a document. Raises Unreadable: `no_text` or `no_id`."""
        text = fields.get(self.text_field)
        if not isinstance(text, str):
            names = ", ".join(sorted(fields))[:200]
            raise Unreadable("no_text", f"no text in '{self.text_field}' (fields: {names}); set text_field")
        own_id = place if self.id_field is None else fields.get(self.id_field)
        if own_id is None or isinstance(own_id, bool | float | list | dict):
            raise Unreadable("no_id", f"no id in '{self.id_field}'; set id_field")
        prefix = f"{self.name}/" if self.name and self.id_field is not None else ""
        named = {column: _shown(fields.get(field)) for column, field in self.columns.items()}
        meta = {field: fields[field] for field in self.meta_fields if field in fields}
        rows.add({"source": unit.name, **named, "id": f"{prefix}{own_id}", "text": text}, meta)

    def refuse(self, rows: DocumentRows, skip: Skip) -> None:
        """Record what could not be read. Raises DataError when on_error is `fail`, unless it is no file at all."""
        if self.on_error == "fail" and skip.reason != "folder":
            raise DataError(f"{skip.id}: {skip.reason} ({skip.detail}); set on_error: skip to count and leave out such rows")
        rows.skip(skip)


def _shown(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
