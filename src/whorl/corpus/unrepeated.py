"""corpus/unrepeated: one shard without the lines or paragraphs that are said elsewhere, with every removed span written down.

Reads the shard, its segments and the sorted table of what repeats (memory-mapped). `spans-N.parquet` says for each removed span
which document it was taken from, where in the text that came in, and which document still holds it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from whorl.core.shards import read_table, shard_path, write_table
from whorl.corpus.cut import Cuts, char_places, without
from whorl.corpus.passing import Passed, Passing, read_documents, write_passing
from whorl.corpus.repeats import ShardSegments, read_segments
from whorl.text.columns import text_buffers

__all__ = ["STEP", "TrimRule", "TrimTask", "Trimmed", "trim_shard", "write_ids"]

STEP = "unrepeat"
NOWHERE = -1  # no document keeps the segment


@dataclass(frozen=True)
class TrimRule:
    """Which occurrences stay, and which documents do not survive the rest going."""

    keep: Literal["first", "none"]
    max_removed_share: float  # of a document's bytes


@dataclass(frozen=True)
class TrimTask:
    """One shard and what repeats; goes to a worker process."""

    path: Path
    segments: Path  # folder made by segment_shard
    repeated: tuple[Path, ...]  # files made by merge_repeats, ascending
    ids: Path  # file made by write_ids
    begin: int  # number of the shard's first document in the corpus
    rule: TrimRule
    folder: Path
    number: int

    def __str__(self) -> str:
        return str(self.path)


class Trimmed(NamedTuple):
    """Counts of one shard."""

    passed: Passed
    segments: int
    segments_removed: int
    segments_lost: int  # first occurrences in documents that were dropped: no copy is left


class _Copies(NamedTuple):
    """Those segments of a shard that repeat."""

    rows: npt.NDArray[np.int64]  # document in the shard
    starts: npt.NDArray[np.int64]  # bytes of its text
    ends: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]
    holders: npt.NDArray[np.int64]  # number in the corpus of the document of the first occurrence
    documents: npt.NDArray[np.int64]  # how many hold it
    times: npt.NDArray[np.int64]


def write_ids(paths: Sequence[Path], into: Path) -> None:
    """Ids of every document of the corpus as one memory-mappable Arrow file, for workers to look up by number."""
    schema = pa.schema([pa.field("id", pa.string())])
    with pa.OSFile(str(into), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for path in paths:
            writer.write_table(read_table(path, ["id"]).cast(schema))


def trim_shard(task: TrimTask) -> Trimmed:
    """Write documents, ledger and spans of one shard."""
    table = read_documents(task.path)
    texts = table["text"].combine_chunks()
    found = read_segments(task.segments)
    copies = _copies(found, task.repeated)
    stays = _stays(copies, task)
    cuts = _cuts(copies, ~stays, texts)
    shard = _passing(task, table, without(texts, cuts), cuts=cuts)
    write_table(_spans(task, table, copies, removed=~stays), shard_path(task.folder, "spans", task.number))
    is_dropped = np.array([reason is not None for reason in shard.reasons], dtype=np.bool_)
    lost = int(is_dropped[copies.rows[stays]].sum())
    return Trimmed(write_passing(shard, task.folder, task.number), len(found.rows), len(cuts.texts), lost)


def _copies(found: ShardSegments, repeated: Sequence[Path]) -> _Copies:
    order = np.argsort(found.hashes, kind="stable")
    hashes = found.hashes[order]
    at, rows = [np.zeros(0, dtype=np.int64)], []
    for path in repeated:
        table = np.load(path, mmap_mode="r")
        rows.append(table[:0])
        if not len(table):
            continue
        low, high = np.searchsorted(hashes, table["hash"][0]), np.searchsorted(hashes, table["hash"][-1], side="right")
        place = np.minimum(np.searchsorted(table["hash"], hashes[low:high]), len(table) - 1)
        is_found = table["hash"][place] == hashes[low:high]
        at.append(order[low:high][is_found])
        rows.append(table[place[is_found]])
    own, entries = np.concatenate(at), np.concatenate(rows)
    back = np.argsort(own)
    own, entries = own[back], entries[back]
    return _Copies(
        rows=found.rows[own],
        starts=found.starts[own],
        ends=found.ends[own],
        hashes=found.hashes[own],
        holders=entries["document"].astype(np.int64),
        documents=entries["documents"].astype(np.int64),
        times=entries["times"].astype(np.int64),
    )


def _stays(copies: _Copies, task: TrimTask) -> npt.NDArray[np.bool_]:
    """Whether each one is its segment's first occurrence, which is kept."""
    if task.rule.keep == "none":
        return np.zeros(len(copies.rows), dtype=np.bool_)
    is_holder = copies.holders == copies.rows + task.begin
    order = np.lexsort((copies.starts, copies.hashes, copies.rows))
    is_first = np.ones(len(order), dtype=np.bool_)
    before, after = order[:-1], order[1:]
    is_first[after] = (copies.rows[before] != copies.rows[after]) | (copies.hashes[before] != copies.hashes[after])
    return np.asarray(is_holder & is_first)


def _cuts(copies: _Copies, removed: npt.NDArray[np.bool_], texts: pa.Array) -> Cuts:
    base = text_buffers(texts).offsets[copies.rows[removed]]
    return Cuts(copies.rows[removed], copies.starts[removed] + base, copies.ends[removed] + base)


def _passing(task: TrimTask, table: pa.Table, texts: pa.Array, *, cuts: Cuts) -> Passing:
    count = len(table)
    removed, came = cuts.num_bytes(count), np.diff(text_buffers(table["text"]).offsets)
    left = np.diff(text_buffers(texts).offsets)
    reasons, details = np.full(count, None, dtype=object), np.full(count, None, dtype=object)
    share = removed / np.maximum(came, 1)
    for reason, is_so in (("mostly_repeated", share > task.rule.max_removed_share), ("empty", (left == 0) & (removed > 0))):
        reasons[is_so] = reason
        details[is_so] = [f"{s:.4g} of its bytes, want at most {task.rule.max_removed_share:g}" for s in share[is_so]]
    num_spans = np.bincount(cuts.texts, minlength=count)
    return Passing(STEP, table, texts, reasons, details, num_spans, {"removed_bytes": removed})


def _spans(task: TrimTask, table: pa.Table, copies: _Copies, *, removed: npt.NDArray[np.bool_]) -> pa.Table:
    """One row per removed span: in characters of the text that came in, and where the same is still said."""
    texts = table["text"].combine_chunks()
    places = char_places(text_buffers(texts), _cuts(copies, removed, texts))
    with pa.memory_map(str(task.ids)) as source:
        ids = pa.ipc.open_file(source).read_all()["id"]
        kept_in = ids.take(pa.array(copies.holders[removed])).combine_chunks().cast(pa.string())
        if task.rule.keep == "none":
            kept_in = pa.nulls(len(kept_in), pa.string())
        return pa.table(
            {
                "id": table["id"].take(pa.array(copies.rows[removed])),
                "start": places.starts,
                "end": places.ends,
                "kept_in": kept_in,
                "documents": copies.documents[removed],
                "times": copies.times[removed],
            }
        )
