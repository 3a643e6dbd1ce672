"""corpus/finish: write a cleaned shard as it leaves the room: kept documents with their part, and the completed ledger."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from whorl.core.config import PARTS
from whorl.core.shards import read_table, shard_path, write_table
from whorl.corpus.clean import DOCUMENTS_FILE, LEDGER_FILE
from whorl.corpus.fates import KEPT, Fates
from whorl.corpus.ledger import START_CHARS

__all__ = ["FinishTask", "Finished", "finish_shard"]


@dataclass(frozen=True)
class FinishTask:
    """One cleaned shard and the fates of its documents."""

    clean: Path
    folder: Path
    number: int
    fates: Fates
    dedup: tuple[str, ...]  # public names, by number
    kept_ids: pa.Array  # for each document of the shard, the id of the one that stands for it


class Finished(NamedTuple):
    """Figures of one shard."""

    documents_in: int
    bytes_in: int  # after edits
    dropped: dict[str, int]  # by `step.reason`
    part_documents: dict[str, int]
    part_bytes: dict[str, int]


def finish_shard(task: FinishTask) -> Finished:
    """Write `documents-N.parquet` and `ledger-N.parquet`."""
    documents = read_table(task.clean / DOCUMENTS_FILE)
    parts = pa.array(np.array(PARTS, dtype=object)[task.fates.parts], pa.string())
    is_kept = pa.array(task.fates.dropped_by == KEPT)
    ledger = _completed(task, read_table(task.clean / LEDGER_FILE), documents["text"], parts)
    column = documents.schema.get_field_index("part")
    documents = documents.set_column(column, documents.schema.field("part"), parts).filter(is_kept)
    write_table(documents, shard_path(task.folder, "documents", task.number))
    write_table(ledger, shard_path(task.folder, "ledger", task.number))
    return _figures(documents, ledger)


def _completed(task: FinishTask, ledger: pa.Table, texts: pa.ChunkedArray, parts: pa.Array) -> pa.Table:
    """The ledger with parts of all that passed the filters, and the drops of copies."""
    passed = ledger["kept"].combine_chunks()
    is_copy = task.fates.dropped_by != KEPT
    copy_rows = _spread(passed, is_copy)
    steps = pa.array([task.dedup[number] for number in task.fates.dropped_by[is_copy]], pa.string())
    starts = pc.utf8_slice_codeunits(texts.filter(pa.array(is_copy)).combine_chunks(), 0, START_CHARS)
    filled = {
        "part": (passed, parts),
        "kept": (copy_rows, pa.array([False] * len(steps), pa.bool_())),
        "step": (copy_rows, steps),
        "reason": (copy_rows, pa.array(["duplicate"] * len(steps), pa.string())),
        "detail": (copy_rows, task.kept_ids.filter(pa.array(is_copy))),
        "text_start": (copy_rows, starts),
    }
    for name, (rows, values) in filled.items():
        column = pc.replace_with_mask(ledger[name].combine_chunks(), rows, values)
        ledger = ledger.set_column(ledger.schema.get_field_index(name), ledger.schema.field(name), column)
    return ledger


def _spread(passed: pa.Array, values: npt.NDArray[np.bool_]) -> pa.Array:
    """Values of the documents that passed, as a column over all rows of the ledger (False elsewhere)."""
    mask = passed.to_numpy(zero_copy_only=False).copy()
    mask[mask] = values
    return pa.array(mask)


def _figures(documents: pa.Table, ledger: pa.Table) -> Finished:
    drops = ledger.filter(pc.invert(ledger["kept"])).group_by(["step", "reason"]).aggregate([([], "count_all")])
    dropped = {f"{row['step']}.{row['reason']}": row["count_all"] for row in drops.to_pylist()}
    num_docs: dict[str, int] = {part: pc.sum(pc.equal(documents["part"], part)).as_py() or 0 for part in PARTS}
    num_bytes: dict[str, int] = {
        part: pc.sum(pc.binary_length(documents["text"].filter(pc.equal(documents["part"], part)))).as_py() or 0
        for part in PARTS
    }
    return Finished(len(ledger), pc.sum(ledger["num_bytes"]).as_py() or 0, dropped, num_docs, num_bytes)
