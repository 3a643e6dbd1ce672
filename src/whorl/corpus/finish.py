"""corpus/finish: write a cleaned shard as it leaves the room: kept documents with their part, and the ledger of all."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from whorl.core.config import PARTS
from whorl.core.shards import read_table, shard_path, write_table
from whorl.corpus.clean import FIXED_COLUMNS, Cleaned
from whorl.corpus.dedup import Dedup
from whorl.corpus.fates import KEPT, Fates
from whorl.corpus.filters import Filter
from whorl.corpus.judge import judge
from whorl.corpus.known import write_signatures
from whorl.corpus.ledger import LEDGER, START_CHARS
from whorl.corpus.verdict import Judged
from whorl.text.lsh import NO_MATCH

__all__ = ["FinishTask", "Finished", "finish_shard"]

_DETECTED = "language.code"  # the figure that fills in a language nobody claimed


@dataclass(frozen=True)
class FinishTask:
    """One cleaned shard and the fates of those of its documents that passed the filters."""

    cleaned: Cleaned
    folder: Path
    number: int
    filters: tuple[Filter, ...]
    fates: Fates
    dedup: tuple[Dedup, ...]
    kept_ids: pa.Array  # for each document that passed, the id of the one that stands for it, here or in another corpus


class Finished(NamedTuple):
    """Figures of one shard."""

    documents_in: int
    bytes_in: int  # before edits
    dropped: dict[str, int]  # by `step.reason`
    part_documents: dict[str, int]
    part_bytes: dict[str, int]


def finish_shard(task: FinishTask) -> Finished:
    """Write `documents-N.parquet`, `ledger-N.parquet` and, after a deduplication, `signatures-N.parquet`."""
    documents, figures = read_table(task.cleaned.documents), read_table(task.cleaned.figures)
    passed = judge(task.filters, figures)
    parts = _spread(passed, np.array(PARTS, dtype=object)[task.fates.parts])
    ledger = _ledger(task, figures, passed, texts=documents["text"], parts=parts)
    documents = _with(documents, "part", parts)
    if _DETECTED in figures.column_names:
        documents = _with(documents, "language", pc.coalesce(documents["language"], figures[_DETECTED]))
    documents = documents.filter(ledger["kept"])
    write_table(documents, shard_path(task.folder, "documents", task.number))
    write_table(ledger, shard_path(task.folder, "ledger", task.number))
    if task.dedup:
        signed = read_table(task.cleaned.signatures).filter(ledger["kept"])
        write_signatures(signed, [member.signed_by() for member in task.dedup], task.folder, task.number)
    return _figures(documents, ledger)


def _ledger(task: FinishTask, figures: pa.Table, passed: Judged, *, texts: pa.ChunkedArray, parts: pa.Array) -> pa.Table:
    """One row per document that came in: what the filters said, then which of those that passed are copies."""
    is_copy = np.zeros(len(figures), dtype=np.bool_)
    is_copy[passed.is_kept] = task.fates.dropped_by != KEPT
    copies = pa.array(is_copy)
    own = task.fates.dropped_by != KEPT
    steps = pa.array([task.dedup[number].use for number in task.fates.dropped_by[own]], pa.string())
    duplicate = pa.array(np.where(task.fates.known[own] == NO_MATCH, "duplicate", "in_other_corpus"), pa.string())
    starts = pc.utf8_slice_codeunits(texts.combine_chunks(), 0, START_CHARS)
    is_kept = pa.array(passed.is_kept & ~is_copy)
    columns = {
        "kept": is_kept,
        "step": pc.replace_with_mask(passed.step, copies, steps),
        "reason": pc.replace_with_mask(passed.reason, copies, duplicate),
        "detail": pc.replace_with_mask(passed.detail, copies, task.kept_ids.filter(pa.array(own))),
        "broken": passed.broken,
        "part": parts,
        "text_start": pc.if_else(is_kept, pa.scalar(None, pa.large_string()), starts),
        **{name: figures[name] for name in FIXED_COLUMNS},
    }
    measured = {name: figures[name] for name in figures.column_names if name not in FIXED_COLUMNS}
    fields = [*LEDGER, *(figures.schema.field(name) for name in measured)]
    return pa.table({**columns, **measured}, schema=pa.schema(fields))


def _spread(passed: Judged, values: npt.NDArray[np.object_]) -> pa.Array:
    """Values of the documents that passed, as a column over all rows (null elsewhere)."""
    column = np.full(len(passed.is_kept), None, dtype=object)
    column[passed.is_kept] = values
    return pa.array(column, pa.string())


def _with(documents: pa.Table, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    return documents.set_column(documents.schema.get_field_index(name), documents.schema.field(name), column)


def _figures(documents: pa.Table, ledger: pa.Table) -> Finished:
    drops = ledger.filter(pc.invert(ledger["kept"])).group_by(["step", "reason"]).aggregate([([], "count_all")])
    dropped = {f"{row['step']}.{row['reason']}": row["count_all"] for row in drops.to_pylist()}
    num_docs: dict[str, int] = {part: pc.sum(pc.equal(documents["part"], part)).as_py() or 0 for part in PARTS}
    num_bytes: dict[str, int] = {
        part: pc.sum(pc.binary_length(documents["text"].filter(pc.equal(documents["part"], part)))).as_py() or 0
        for part in PARTS
    }
    return Finished(len(ledger), pc.sum(ledger["bytes_in"]).as_py() or 0, dropped, num_docs, num_bytes)
