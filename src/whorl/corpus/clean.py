"""corpus/clean: one shard through edits and filters, with its ledger rows and the signatures that deduplication needs.

The map step of corpus.refine: pure, cached by the shard's content. Looks at one shard only; what depends on other shards
(copies, parts) is decided in corpus/fates.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from whorl.core.shards import ShardCache, read_table, write_table
from whorl.corpus.dedup import Dedup
from whorl.corpus.edits import Edit
from whorl.corpus.filters import Filter
from whorl.corpus.ledger import LEDGER, START_CHARS
from whorl.corpus.verdict import Verdict
from whorl.text.batch import TextBatch

__all__ = ["CleanTask", "clean_shard", "signature_matrix", "warm_up"]

_BATCH_BYTES = 8_000_000  # of text; bounds the memory of words and statistics
DOCUMENTS_FILE, LEDGER_FILE, SIGNATURES_FILE = "documents.parquet", "ledger.parquet", "signatures.parquet"


@dataclass(frozen=True)
class CleanTask:
    """One shard and what to do with it; goes to a worker process."""

    path: Path
    key: str  # of the cache: content of the shard and everything below
    shards: ShardCache
    edits: tuple[Edit, ...]
    filters: tuple[Filter, ...]
    dedup: tuple[Dedup, ...]
    group_by: str


def clean_shard(task: CleanTask) -> Path:
    """The folder with the shard's kept documents, full ledger and signatures of the kept ones."""
    return task.shards.make(task.key, lambda folder: _write_clean(task, folder))


def warm_up(task: CleanTask) -> None:
    """Compile every kernel the task needs, so that worker processes find them compiled."""
    batch = TextBatch(pa.array(["two words"], pa.large_string()))
    for rule in task.filters:
        rule.judge(batch)
    for dedup in task.dedup:
        dedup.sign(batch)


def signature_matrix(column: pa.ChunkedArray) -> npt.NDArray[np.uint32]:
    """A column of signatures as texts x width."""
    width = column.type.byte_width // 4
    flat = [
        np.frombuffer(chunk.buffers()[1], np.uint32)[chunk.offset * width :][: len(chunk) * width] for chunk in column.chunks
    ]
    return np.concatenate([np.zeros(0, dtype=np.uint32), *flat]).reshape(-1, width)


def _write_clean(task: CleanTask, folder: Path) -> None:
    batches = [_clean_batch(task, table) for table in _batches(read_table(task.path))]
    for name, position in ((DOCUMENTS_FILE, 0), (LEDGER_FILE, 1), (SIGNATURES_FILE, 2)):
        write_table(pa.concat_tables([batch[position] for batch in batches]), folder / name)


def _batches(table: pa.Table) -> Iterator[pa.Table]:
    """Slices of about _BATCH_BYTES of text, at least one, in order."""
    ends = np.cumsum(pc.binary_length(table["text"]).to_numpy())
    begin = 0
    while begin < len(table) or begin == 0:
        before = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + _BATCH_BYTES, side="right")))
        yield table.slice(begin, end - begin)
        begin = end


def _clean_batch(task: CleanTask, table: pa.Table) -> tuple[pa.Table, pa.Table, pa.Table]:
    texts = table["text"].combine_chunks()
    num_spans = np.zeros(len(table), dtype=np.int64)
    for edit in task.edits:
        texts, changed = edit.apply(texts)
        num_spans += changed
    batch = TextBatch(texts)
    names, verdicts = _named_verdicts(task.filters, batch)
    ledger = _ledger(table, batch, num_spans, _group_keys(table, task.group_by), _first_drops(names, verdicts, batch))
    is_kept = ledger["kept"].to_numpy()
    documents = table.set_column(table.schema.get_field_index("text"), table.schema.field("text"), texts)
    signed = {str(i): _fixed(dedup.sign(batch)[is_kept]) for i, dedup in enumerate(task.dedup)}
    return documents.filter(ledger["kept"]), ledger, pa.table(signed)


def _named_verdicts(filters: Sequence[Filter], batch: TextBatch) -> tuple[list[str], list[Verdict]]:
    return [rule.use for rule in filters], [rule.judge(batch) for rule in filters]


class _Drops:
    """Step, reason and detail of each document of a batch; None where it is kept."""

    def __init__(self, num_docs: int) -> None:
        self.step: list[str | None] = [None] * num_docs
        self.reason: list[str | None] = [None] * num_docs
        self.detail: list[str | None] = [None] * num_docs

    def note(self, row: int, step: str, *, reason: str, detail: str) -> None:
        if self.step[row] is None:
            self.step[row], self.reason[row], self.detail[row] = step, reason, detail


def _first_drops(names: Sequence[str], verdicts: Sequence[Verdict], batch: TextBatch) -> _Drops:
    drops = _Drops(len(batch))
    for row in np.flatnonzero(batch.num_bytes == 0).tolist():
        drops.note(row, "edits", reason="empty", detail="nothing is left after the edits")
    for name, verdict in zip(names, verdicts, strict=True):
        for row in np.flatnonzero(~verdict.is_kept).tolist():
            drops.note(row, name, reason=verdict.reason(row), detail=verdict.detail(row))
    return drops


def _ledger(
    table: pa.Table, batch: TextBatch, num_spans: npt.NDArray[np.int64], group_keys: pa.ChunkedArray, drops: _Drops
) -> pa.Table:
    is_kept = pa.array([step is None for step in drops.step], pa.bool_())
    starts = pc.if_else(is_kept, pa.scalar(None, pa.large_string()), pc.utf8_slice_codeunits(batch.texts, 0, START_CHARS))
    columns = {
        "id": table["id"],
        "source": table["source"],
        "kept": is_kept,
        "step": pa.array(drops.step, pa.string()),
        "reason": pa.array(drops.reason, pa.string()),
        "detail": pa.array(drops.detail, pa.string()),
        "group_key": group_keys,
        "part": pa.nulls(len(table), pa.string()),
        "edit_spans": num_spans,
        "text_start": starts,
        **batch.statistics,
    }
    return pa.table(columns, schema=LEDGER)


def _group_keys(table: pa.Table, group_by: str) -> pa.ChunkedArray:
    """What documents are kept together by; one without a value stands alone under its id."""
    return pc.coalesce(table[group_by], table["id"])


def _fixed(signatures: npt.NDArray[np.uint32]) -> pa.Array:
    """Signatures as a column of fixed-size binary, little-endian."""
    width = signatures.shape[1] * 4
    data = np.ascontiguousarray(signatures, dtype="<u4")
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(data), [None, pa.py_buffer(data)])
