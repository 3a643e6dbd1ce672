"""corpus/sources/parquet: one document per row of Parquet files.

Reads only the fields it was told of. A file without one of them is an error; a row without text is skipped.
"""

import json
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from whorl.core.errors import DataError
from whorl.corpus.files import Unit
from whorl.corpus.rows import DocumentRows, Harvest, Skip
from whorl.corpus.sources import FieldedFiles

__all__ = ["Parquet"]

_BATCH_ROWS = 4096


class Parquet(FieldedFiles):
    """Files matching a glob pattern, e.g. `dump/*.parquet`."""

    def read(self, unit: Unit) -> Iterator[Harvest]:
        """See Source.read. Raises DataError when the file is not Parquet or lacks a named field."""
        try:
            with pq.ParquetFile(unit.path) as file:
                wanted = self._wanted(unit, file.schema_arrow)
                number = 0
                for batch in file.iter_batches(_BATCH_ROWS, columns=wanted):
                    yield self._harvest(unit, batch, number)
                    number += len(batch)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(f"{unit.path}: not a readable Parquet file ({error}); leave it out of path") from error

    def _wanted(self, unit: Unit, schema: pa.Schema) -> list[str]:
        named = (self.text_field, self.id_field, *self.columns.values(), *self.meta_fields)
        wanted = list(dict.fromkeys(name for name in named if name is not None))
        if missing := [name for name in wanted if name not in schema.names]:
            raise DataError(f"{unit.name}: no field {', '.join(missing)} (fields: {', '.join(schema.names)}); set text_field")
        return wanted

    def _harvest(self, unit: Unit, batch: pa.RecordBatch, begin: int) -> Harvest:
        rows = DocumentRows({"licence": self.licence})
        for number, value in enumerate(batch.to_pylist(), start=begin):
            place = f"{unit.name}:{number}"
            text = value[self.text_field]
            own_id = place if self.id_field is None else value[self.id_field]
            if not isinstance(text, str) or own_id is None:
                rows.skip(Skip(place, unit.name, "no_text" if not isinstance(text, str) else "no_id"))
                continue
            prefix = f"{self.name}/" if self.name and self.id_field is not None else ""
            named = {column: _shown(value[field]) for column, field in self.columns.items()}
            meta = {field: _plain(value[field]) for field in self.meta_fields}
            rows.add({"source": unit.name, **named, "id": f"{prefix}{own_id}", "text": text}, meta)
        return rows.harvest()


def _shown(value: object) -> str | None:
    return None if value is None else value if isinstance(value, str) else json.dumps(_plain(value), sort_keys=True)


def _plain(value: object) -> object:
    """A value as JSON can hold it: dates, decimals and bytes as text."""
    return json.loads(json.dumps(value, default=str))
