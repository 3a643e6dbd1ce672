"""corpus/sources/parquet: one document per row of Parquet files.

Reads only the fields it was told of. A file without one of them is an error; a row without text is skipped, always.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from whorl.core.errors import DataError
from whorl.corpus.files import Unit, Unreadable, open_raw
from whorl.corpus.rows import DocumentRows, Harvest, Skip
from whorl.corpus.sources import FieldedFiles

__all__ = ["Parquet"]

_MAX_ROWS = 4096
_SLICE_ROWS = 64  # whose values are Python objects at a time
_BATCH_BYTES = 8_000_000


class Parquet(FieldedFiles):
    """Files matching a glob pattern, e.g. `dump/*.parquet`."""

    def read(self, unit: Unit) -> Iterator[Harvest]:
        """See Source.read. Raises DataError when the file lacks a named field, or is not Parquet and on_error is `fail`."""
        rows = self.new_rows()
        try:
            with open_raw(unit) as handle, closing(self._file(handle, unit)) as file:
                yield from self._harvests(rows, unit, file)
        except Unreadable as fault:
            self.refuse(rows, Skip(unit.name, unit.name, fault.reason, fault.detail))
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            if self.on_error == "fail":
                raise DataError(f"{unit.name}: not a readable Parquet file ({error}); leave it out of path") from error
            rows.skip(Skip(unit.name, unit.name, "damaged", str(error)[:200]))
        yield rows.harvest()

    def _file(self, handle: BinaryIO, unit: Unit) -> pq.ParquetFile:
        """The text is read as indices into its different values: one long value a million times over stays one."""
        place = handle if unit.url else unit.path
        with closing(pq.ParquetFile(place)) as file:
            self._check(unit, file.schema_arrow.names)
            return pq.ParquetFile(place, metadata=file.metadata, read_dictionary=[self.text_field])

    def _check(self, unit: Unit, names: list[str]) -> None:
        if missing := [name for name in self.wanted if name not in names]:
            raise DataError(f"{unit.name}: no field {', '.join(missing)} (fields: {', '.join(names)}); set text_field")

    def _harvests(self, rows: DocumentRows, unit: Unit, file: pq.ParquetFile) -> Iterator[Harvest]:
        num_bytes = 0
        for number, value in enumerate(self._values(file)):
            place = f"{unit.name}:{number}"
            try:
                self.add(rows, value, unit=unit, place=place)
            except Unreadable as fault:
                rows.skip(Skip(place, unit.name, fault.reason, fault.detail))
            if rows.is_full:
                harvest = rows.harvest()
                num_bytes += harvest.documents.nbytes
                yield harvest
                if num_bytes > self.max_unpacked:
                    raise Unreadable("bomb", f"more than {self.max_unpacked} bytes out of {unit.size_bytes}")

    def _values(self, file: pq.ParquetFile) -> Iterator[Mapping[str, Any]]:
        for batch in file.iter_batches(_batch_rows(file, self.wanted), columns=self.wanted):
            for begin in range(0, len(batch), _SLICE_ROWS):
                yield from batch.slice(begin, _SLICE_ROWS).to_pylist()


def _batch_rows(file: pq.ParquetFile, wanted: list[str]) -> int:
    """Rows that take about _BATCH_BYTES, going by the average row of the file."""
    sizes = [_group_bytes(file.metadata.row_group(i), wanted) for i in range(file.metadata.num_row_groups)]
    per_row = sum(sizes) / max(1, file.metadata.num_rows)
    return max(1, min(_MAX_ROWS, int(_BATCH_BYTES / max(1.0, per_row))))


def _group_bytes(group: Any, wanted: list[str]) -> int:  # noqa: ANN401 - pyarrow has no types
    columns = [group.column(i) for i in range(group.num_columns)]
    return sum(c.total_uncompressed_size for c in columns if c.path_in_schema.partition(".")[0] in wanted)
