"""corpus/sources/folder: everything below a folder, each file read by the source that knows its kind, told by its name.

`.warc.gz` is a web archive, `.xml.bz2` a wiki dump, `.jsonl` rows, `.md` prose, and so on (KINDS). A file of no known kind is
skipped with that reason, never guessed at. Options of a kind go under `options`, as its own source would take them.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

from pydantic import Field, model_validator

from whorl.core.config import UNHASHED
from whorl.core.errors import DataError
from whorl.corpus.files import Unit, find_units
from whorl.corpus.rows import DocumentRows, Harvest, Skip
from whorl.corpus.sources import Source

__all__ = ["KINDS", "Folder"]

# End of a file's name, compression left out -> the source that reads it.
KINDS: Final[Mapping[str, str]] = {
    ".warc": "warc",
    ".wet": "warc",
    ".xml": "wikipedia",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".html": "html",
    ".htm": "html",
    ".txt": "text",
    ".md": "markdown",
    ".markdown": "markdown",
}
_COMPRESSED: Final = (".gz", ".zst", ".bz2", ".xz")


class Folder(Source):
    """A folder of anything; hidden files and folders are left alone."""

    path: str = Field(json_schema_extra=UNHASHED)  # relative to the project folder
    options: Mapping[str, Mapping[str, Any]] = {}  # by source, e.g. {jsonl: {text_field: body}}

    @model_validator(mode="after")
    def _options_are_those_of_the_sources(self) -> Self:
        if unknown := sorted(set(self.options) - set(KINDS.values())):
            raise ValueError(f"options: no {', '.join(unknown)}; want some of {', '.join(sorted(set(KINDS.values())))}")
        for kind in self.options:
            self._source(kind)
        return self

    def units(self, root: Path) -> list[Unit]:
        """See Source.units."""
        found = [unit for unit in find_units(root, f"{self.path}/**/*", self.name) if not _is_hidden(unit.name)]
        if not found:
            raise DataError(f"no file below {root / self.path}; put some there (kinds: {', '.join(KINDS)}) or set path")
        return found

    def read(self, unit: Unit) -> Iterator[Harvest]:
        """See Source.read."""
        kind = _kind(unit.name)
        if kind is None:
            rows = DocumentRows()
            rows.skip(Skip(unit.name, unit.name, "unknown_kind", f"want a name ending in one of {', '.join(KINDS)}"))
            yield rows.harvest()
            return
        yield from self._source(kind).read(unit)

    def code(self) -> str:
        """See Source.code: of every source that may be asked to read."""
        return ", ".join([super().code(), *(self._source(kind).code() for kind in sorted(set(KINDS.values())))])

    def _source(self, kind: str) -> Source:
        """The source behind a kind; its own `path` is not used, because units come from here."""
        return Source.model_validate({"use": kind, "path": self.path, "name": self.name, **self.options.get(kind, {})})


def _kind(name: str) -> str | None:
    plain = name.lower()
    for ending in _COMPRESSED:
        plain = plain.removesuffix(ending)
    return next((kind for ending, kind in KINDS.items() if plain.endswith(ending)), None)


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in Path(name).parts)
