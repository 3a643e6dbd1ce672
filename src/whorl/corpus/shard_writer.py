"""corpus/shard_writer: documents and skips to shard files as they come, so that memory holds a few megabytes of them.

Where one file ends and the next begins depends on the documents alone.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from whorl.core.records import DOCUMENTS
from whorl.core.shards import shard_path
from whorl.corpus.ledger import LEDGER
from whorl.corpus.rows import Harvest, Skip

__all__ = ["COUNTS_FILE", "LEDGER_FILE", "write_shards"]

COUNTS_FILE, LEDGER_FILE = "counts.json", "ledger.parquet"
_GROUP_BYTES = 8_000_000  # small files are gathered into row groups of this size
_GROUP_ROWS = 8192


def write_shards(harvests: Iterable[Harvest], folder: Path, max_bytes: int) -> None:
    """Numbered files of documents of at most about `max_bytes`, one ledger of what was skipped, and the counts of both.

    A document larger than `max_bytes` has a file to itself or ends one.
    """
    documents = _Documents(folder, max_bytes)
    skipped: Counter[str] = Counter()
    with pq.ParquetWriter(folder / LEDGER_FILE, LEDGER, compression="zstd") as ledger:
        for harvest in harvests:
            documents.add(harvest.documents)
            skipped.update(skip.reason for skip in harvest.skipped)
            if harvest.skipped:
                ledger.write_table(_skip_rows(harvest.skipped), row_group_size=_GROUP_ROWS)
    documents.close()
    counts = {"documents": documents.num_docs, "bytes": documents.text_bytes, "skipped": dict(skipped)}
    (folder / COUNTS_FILE).write_text(json.dumps(counts, sort_keys=True), encoding="utf-8")


class _Documents:
    """Tables to row groups, row groups to files."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._waiting: list[pa.Table] = []
        self._waiting_bytes = 0
        self._writer: pq.ParquetWriter | None = None
        self._file_bytes = 0
        self._num_files = 0
        self.num_docs = 0
        self.text_bytes = 0

    def add(self, table: pa.Table) -> None:
        if not len(table):
            return
        self.num_docs += len(table)
        self.text_bytes += pc.sum(pc.binary_length(table["text"])).as_py()
        self._waiting.append(table)
        self._waiting_bytes += table.nbytes
        if self._waiting_bytes >= min(_GROUP_BYTES, self._max_bytes):
            self._write_group()

    def close(self) -> None:
        self._write_group()
        self._end_file()

    def _write_group(self) -> None:
        if not self._waiting:
            return
        if self._writer is None:
            path = shard_path(self._folder, "documents", self._num_files)
            self._writer = pq.ParquetWriter(path, DOCUMENTS, compression="zstd")
            self._num_files += 1
        self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=_GROUP_ROWS)
        self._file_bytes += self._waiting_bytes
        self._waiting, self._waiting_bytes = [], 0
        if self._file_bytes >= self._max_bytes:
            self._end_file()

    def _end_file(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer, self._file_bytes = None, 0


def _skip_rows(skipped: Sequence[Skip]) -> pa.Table:
    columns: dict[str, list[Any]] = {name: [None] * len(skipped) for name in LEDGER.names}
    columns |= {"id": [s.id for s in skipped], "source": [s.source for s in skipped], "kept": [False] * len(skipped)}
    columns |= {
        "step": ["collect"] * len(skipped),
        "reason": [s.reason for s in skipped],
        "detail": [s.detail for s in skipped],
    }
    return pa.table(columns, schema=LEDGER)
