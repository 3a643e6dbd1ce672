"""corpus/sources/hf_datasets: one split of a Hugging Face dataset, from a folder or streamed from a hub.

Parquet, JSON lines (or one JSON array), CSV, TSV and text files, compressed or not, laid out as the hub's own loader expects
(see layout). From a hub, files are read by ranges as they are needed, and of a Parquet file only the fields that are named.
What `main` means is looked up once per project and written to `.whorl/datasets.json`; take the line out to look again. Runs no
loading scripts; does not need `datasets`.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

from pydantic import Field

from whorl.core.artifact import write_text_atomic
from whorl.core.canonical import digest
from whorl.core.config import UNHASHED
from whorl.core.errors import DataError
from whorl.core.quantity import Bytes
from whorl.corpus.files import Unit, Unreadable, content_hash, find_units, read_bytes, read_text
from whorl.corpus.lines import bounded_lines
from whorl.corpus.rows import DocumentRows, Harvest, Skip
from whorl.corpus.sources import FieldedFiles, Source
from whorl.corpus.sources.hf_datasets.hub import COMMIT, Hub, RepositoryFile
from whorl.corpus.sources.hf_datasets.hub_files import hub_address, know_hub_files
from whorl.corpus.sources.hf_datasets.layout import card_of, licence_of, split_files

__all__ = ["HfDatasets"]

_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_CARD = "README.md"
_MAX_CARD = 10_000_000
_PINS = Path(".whorl") / "datasets.json"
_PACKED = (".gz", ".zst", ".bz2", ".xz")
_KINDS = {
    **{".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "csv"},
    **{".txt": "text", ".text": "text"},
}


class _Found(NamedTuple):
    """Files of a dataset by their paths in it, and its README."""

    units: Mapping[str, Unit]
    card: str


class HfDatasets(FieldedFiles):
    """A dataset `org/name`, or a folder: a folder of that name below the project is meant before a hub is asked."""

    path: str = Field(json_schema_extra=UNHASHED)
    config: str | None = None  # None: the default one
    split: str = "train"  # or `all`
    revision: str = Field("main", json_schema_extra=UNHASHED)  # of a dataset on a hub: branch, tag or commit
    endpoint: str = Field("https://huggingface.co", json_schema_extra=UNHASHED, pattern=r"^https?://[^/?#@]+$")  # or a mirror
    sample_by: Literal["line", "document"] = "line"  # what a text file holds
    max_line: Bytes = 64_000_000
    max_array: Bytes = 500_000_000  # a JSON file that is one array is read whole

    def units(self, root: Path) -> list[Unit]:
        """See Source.units: the files of the split, each with the dataset's card where that gives the licence."""
        found = self._in_folder(root) if self._is_folder(root) else self._on_hub(root, self._commit(root))
        data = {path: unit for path, unit in found.units.items() if _kind(path)}
        if not data:
            raise DataError(f"{self.path}: no data file among {len(found.units)}; want names ending in {', '.join(_KINDS)}")
        card = [found.units[_CARD]] if _CARD in found.units and self.licence is None else []
        written = card_of(found.card, f"{self.path}/{_CARD}")
        return [data[path]._replace(beside=tuple(card)) for path in split_files(list(data), written, self.config, self.split)]

    def content(self, root: Path) -> str:
        """See Source.content: of a dataset on a hub, the commit and the hashes of its files."""
        commit = "" if self._is_folder(root) else self._commit(root)
        return digest([commit, content_hash(self.units(root))])

    def code(self) -> str:
        """See Source.code: also of the sources of the single formats."""
        return ", ".join([super().code(), *(self._source(kind, None).code() for kind in ("csv", "jsonl", "parquet"))])

    def read(self, unit: Unit) -> Iterator[Harvest]:
        """See Source.read. Raises as the sources of the single formats do."""
        know_hub_files()
        licence = self.licence
        if unit.beside:
            licence = licence_of(card_of(read_text(unit.beside[0], _MAX_CARD), unit.beside[0].name))
        kind = _kind(unit.name)
        if kind == "text":
            yield from self.model_copy(update={"licence": licence})._read_text(unit)
        elif kind == "json" and self._is_array(unit):
            yield from self.model_copy(update={"licence": licence})._read_array(unit)
        else:
            is_tabbed = ".tsv" in PurePosixPath(unit.name).suffixes
            yield from self._source("jsonl" if kind == "json" else str(kind), licence, is_tabbed=is_tabbed).read(unit)

    def _is_folder(self, root: Path) -> bool:
        return not _REPOSITORY.fullmatch(self.path) or (root / self.path).is_dir()

    def _in_folder(self, root: Path) -> "_Found":
        listed = find_units(root, f"{self.path}/**/*", self.name)
        if not listed:
            raise DataError(f"no file below {root / self.path}; set path to a dataset's folder, or to org/name on a hub")
        units = {unit.path.relative_to(root / self.path).as_posix(): unit for unit in listed}
        units = {path: unit for path, unit in units.items() if not _is_hidden(path)}
        return _Found(units, read_text(units[_CARD], _MAX_CARD) if _CARD in units else "")

    def _commit(self, root: Path) -> str:
        """What `revision` means: a commit itself, or the one that was looked up when this project first asked."""
        if COMMIT.fullmatch(self.revision):
            return self.revision
        record = root / _PINS
        key = f"{self.endpoint}/datasets/{self.path}@{self.revision}"
        pins: dict[str, str] = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
        if key not in pins:
            pins[key] = Hub(self.endpoint, self.path).commit(self.revision)
            record.parent.mkdir(parents=True, exist_ok=True)
            write_text_atomic(record, json.dumps(pins, indent=2, sort_keys=True))
        return pins[key]

    def _on_hub(self, root: Path, commit: str) -> "_Found":
        """Files at a commit never change: they are listed, and the card is read, once per project."""
        known = root / ".whorl" / "cache" / "hub" / f"{digest([self.endpoint, self.path, commit])}.json"
        if known.is_file():
            listing = json.loads(known.read_text(encoding="utf-8"))
            return self._found([RepositoryFile(*entry) for entry in listing["files"]], commit, listing["card"])
        files = Hub(self.endpoint, self.path).files(commit)
        found = self._found(files, commit)
        if _CARD in found.units:
            found = found._replace(card=read_text(found.units[_CARD], _MAX_CARD))
        known.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomic(known, json.dumps({"files": files, "card": found.card}))
        return found

    def _found(self, files: Sequence[RepositoryFile], commit: str, card: str = "") -> "_Found":
        know_hub_files()
        hub, prefix = Hub(self.endpoint, self.path), f"{self.name or self.path}/"
        places = {
            file: hub_address(hub.address(file.path, commit), size_bytes=file.size_bytes, content=file.content)
            for file in files
            if not _is_hidden(file.path)
        }
        units = {f.path: Unit(prefix + f.path, Path(f.path), f.size_bytes, place) for f, place in places.items()}
        return _Found(units, card)

    def _source(self, kind: str, licence: str | None, *, is_tabbed: bool = False) -> Source:
        """The source that reads a format; its own `path` is not used, because units come from here."""
        shared = self.model_dump(include=set(FieldedFiles.model_fields) - {"licence"})
        own: dict[str, Any] = {"max_line": self.max_line} if kind == "jsonl" else {}
        if is_tabbed:
            own = {"delimiter": "\t"}
        return Source.model_validate({"use": kind, "licence": licence, **shared, **own})

    def _read_text(self, unit: Unit) -> Iterator[Harvest]:
        """Lines, or the file, as rows of one field `text`."""
        rows = self.new_rows()
        try:
            if self.sample_by == "document":
                self._add(rows, {"text": read_text(unit, self.max_line, max_ratio=self.max_ratio)}, unit=unit, place=unit.name)
            else:
                yield from self._read_lines(unit, rows)
        except Unreadable as fault:
            self.refuse(rows, Skip(unit.name, unit.name, fault.reason, fault.detail))
        yield rows.harvest()

    def _read_lines(self, unit: Unit, rows: DocumentRows) -> Iterator[Harvest]:
        with self.opened(unit) as stream:
            for line in bounded_lines(stream, self.max_line):
                place = f"{unit.name}:{line.number}"
                try:
                    self._add(rows, {"text": _decoded(line.data, line.num_bytes)}, unit=unit, place=place)
                except Unreadable as fault:
                    self.refuse(rows, Skip(place, unit.name, fault.reason, fault.detail))
                if rows.is_full:
                    yield rows.harvest()

    def _is_array(self, unit: Unit) -> bool:
        try:
            with self.opened(unit) as stream:
                return stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["
        except Unreadable:
            return False  # its reader says what is wrong

    def _read_array(self, unit: Unit) -> Iterator[Harvest]:
        rows = self.new_rows()
        try:
            values = json.loads(read_bytes(unit, self.max_array, max_ratio=self.max_ratio))
        except Unreadable as fault:
            self.refuse(rows, Skip(unit.name, unit.name, fault.reason, fault.detail))
            values = []
        except (ValueError, RecursionError) as error:
            self.refuse(rows, Skip(unit.name, unit.name, "bad_json", str(error)[:200]))
            values = []
        for number, value in enumerate(values, start=1):
            self._add(rows, value, unit=unit, place=f"{unit.name}:{number}")
            if rows.is_full:
                yield rows.harvest()
        yield rows.harvest()

    def _add(self, rows: DocumentRows, value: object, *, unit: Unit, place: str) -> None:
        try:
            if not isinstance(value, dict):
                raise Unreadable("bad_json", f"want an object, got {type(value).__name__}")
            self.add(rows, value, unit=unit, place=place)
        except Unreadable as fault:
            self.refuse(rows, Skip(place, unit.name, fault.reason, fault.detail))


def _kind(name: str) -> str | None:
    plain = name.lower()
    for ending in _PACKED:
        plain = plain.removesuffix(ending)
    return _KINDS.get(PurePosixPath(plain).suffix)


def _is_hidden(path: str) -> bool:
    return any(part.startswith((".", "__")) for part in path.split("/"))


def _decoded(data: bytes, num_bytes: int) -> str:
    if not data:
        raise Unreadable("too_large", f"a line of {num_bytes} bytes; set max_line")
    try:
        return data.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise Unreadable("not_utf8", f"at byte {error.start} of the line: {error.reason}") from error
