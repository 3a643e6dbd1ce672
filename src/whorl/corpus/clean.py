"""corpus/clean: one shard through edits, with the figures filters look at and the signatures deduplication compares.

The map step of corpus.refine: pure, and cached by the shard's content and whatever changes text, figures or signatures.
Thresholds do not: documents are measured here and judged later, so another threshold finds everything in the cache.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from whorl.core.records import DOCUMENTS
from whorl.core.shards import ShardCache, read_table, write_table
from whorl.corpus.dedup import Dedup
from whorl.corpus.document_batch import DocumentBatch
from whorl.corpus.edits import Edit
from whorl.corpus.filters import Filter
from whorl.corpus.group_keys import GroupBy, group_keys
from whorl.corpus.slices import text_slices
from whorl.text.words import COUNTS

__all__ = [
    "FIXED_COLUMNS",
    "STATISTICS",
    "CleanTask",
    "Cleaned",
    "clean_shard",
    "signature_column",
    "signature_matrix",
    "warm_up",
]

_DOCUMENTS_FILE, _FIGURES_FILE, _SIGNATURES_FILE = "documents.parquet", "figures.parquet", "signatures.parquet"
STATISTICS = ("num_bytes", *COUNTS)  # figures every ledger has, whatever the filters
FIXED_COLUMNS = ("id", "source", "group_key", "bytes_in", "edit_spans")  # of the figures; all others are figures


@dataclass(frozen=True)
class CleanTask:
    """One shard and what to do with it; goes to a worker process."""

    path: Path
    key: str  # of the cache: content of the shard and everything below
    shards: ShardCache
    edits: tuple[Edit, ...]
    filters: tuple[Filter, ...]
    dedup: tuple[Dedup, ...]
    group_by: GroupBy
    folders: Mapping[str, Path]  # finished artifacts the filters refer to
    root: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class Cleaned:
    """A finished map step: tables of one row per document of the shard, in its order."""

    folder: Path
    origin: Path  # the shard as it came: what edits did not touch is not written twice

    @property
    def documents(self) -> Path:
        """Documents with their text after edits."""
        own = self.folder / _DOCUMENTS_FILE
        return own if own.is_file() else self.origin

    @property
    def figures(self) -> Path:
        """FIXED_COLUMNS and one column per figure."""
        return self.folder / _FIGURES_FILE

    @property
    def signatures(self) -> Path:
        """One column per deduplication, by number."""
        return self.folder / _SIGNATURES_FILE


def clean_shard(task: CleanTask) -> Cleaned:
    """Edit, measure and sign the documents of one shard."""
    return Cleaned(task.shards.make(task.key, lambda folder: _write_clean(task, folder)), task.path)


def warm_up(task: CleanTask) -> None:
    """Compile every kernel the task needs, so that worker processes find them compiled."""
    columns = {name: ["two words"] if name == "text" else [None] for name in DOCUMENTS.names}
    nullable = pa.schema([pa.field(field.name, field.type) for field in DOCUMENTS])
    _measure(task, pa.table(columns, schema=nullable), [])


def signature_column(signatures: npt.NDArray[np.uint32]) -> pa.Array:
    """Signatures as a column of fixed-size binary, little-endian."""
    width = signatures.shape[1] * 4
    data = np.ascontiguousarray(signatures, dtype="<u4")
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(data), [None, pa.py_buffer(data)])


def signature_matrix(column: pa.ChunkedArray) -> npt.NDArray[np.uint32]:
    """A column of signatures as texts x width."""
    width = column.type.byte_width // 4
    flat = [
        np.frombuffer(chunk.buffers()[1], np.uint32)[chunk.offset * width :][: len(chunk) * width] for chunk in column.chunks
    ]
    return np.concatenate([np.zeros(0, dtype=np.uint32), *flat]).reshape(-1, width)


def _write_clean(task: CleanTask, folder: Path) -> None:
    batches = [_measure(task, table, task.edits) for table in text_slices(read_table(task.path))]
    documents, figures, signatures = (pa.concat_tables(tables) for tables in zip(*batches, strict=True))
    if task.edits:
        write_table(documents, folder / _DOCUMENTS_FILE)
    write_table(figures, folder / _FIGURES_FILE)
    write_table(signatures, folder / _SIGNATURES_FILE)


def _measure(task: CleanTask, table: pa.Table, edits: Sequence[Edit]) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Documents after edits, their figures and their signatures."""
    texts = table["text"].combine_chunks()
    num_spans = np.zeros(len(table), dtype=np.int64)
    for edit in edits:
        texts, changed = edit.apply(texts)
        num_spans += changed
    documents = table.set_column(table.schema.get_field_index("text"), table.schema.field("text"), texts)
    batch = DocumentBatch(documents, task.folders, task.root)
    fixed = {"id": table["id"], "source": table["source"], "group_key": group_keys(table, task.group_by)}
    figures = {name: batch.texts.statistics[name] for name in STATISTICS}
    for rule in task.filters:
        figures |= rule.figures(batch)
    signed = {str(number): signature_column(dedup.sign(batch.texts)) for number, dedup in enumerate(task.dedup)}
    fixed |= {"bytes_in": pc.binary_length(table["text"]).cast(pa.int64()), "edit_spans": num_spans}
    return documents, pa.table({**fixed, **figures}), pa.table(signed)
