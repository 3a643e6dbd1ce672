"""corpus/repeats: which lines or paragraphs of a corpus repeat others, found by sorting 64-bit hashes.

Per shard (cached): every segment worth comparing, and its hashes aggregated and sorted. Over all shards: one range of hashes at
a time is merged, so memory holds the hashes of one range and of what repeats, never the corpus. Which occurrence is the first
follows from ids, not from the order of documents or shards. Does not change texts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from whorl.core.shards import ShardCache, read_table, write_table
from whorl.corpus.slices import text_slices
from whorl.text.batch import TextBatch
from whorl.text.columns import text_keys
from whorl.text.segments import SegmentKind, segments

__all__ = ["Counted", "Repeated", "SegmentTask", "merge_repeats", "read_segments", "segment_shard"]

SEGMENTS_FILE = "segments.parquet"
RANGE_ROWS = 16_000_000  # aggregated hashes merged at a time: about 1 GB at the peak

Counted = np.dtype([("hash", "<u8"), ("key", "<u8"), ("document", "<i8"), ("documents", "<u4"), ("times", "<u4")])
Repeated = np.dtype([("hash", "<u8"), ("document", "<i8"), ("documents", "<u4"), ("times", "<u4")])


@dataclass(frozen=True)
class SegmentTask:
    """One shard of documents and which of its segments to look at; goes to a worker process."""

    path: Path
    key: str  # of the cache
    shards: ShardCache
    kind: SegmentKind
    min_chars: int


class ShardSegments(NamedTuple):
    """Segments of one shard, in order; offsets are bytes of their own text."""

    rows: npt.NDArray[np.int64]  # number of the document in the shard
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]


def segment_shard(task: SegmentTask) -> Path:
    """The folder with the shard's segments, and with one sorted row per different hash (`counted.npy`)."""
    return task.shards.make(task.key, lambda folder: _write_segments(task, folder))


def read_segments(folder: Path) -> ShardSegments:
    """What `segment_shard` found."""
    table = read_table(folder / SEGMENTS_FILE)
    return ShardSegments(*(table[name].to_numpy() for name in ("row", "start", "end", "hash")))


def merge_repeats(folders: Sequence[Path], first: npt.NDArray[np.int64], into: Path, *, rule: "RepeatRule") -> list[Path]:
    """One file of sorted `Repeated` rows per range of hashes, in order. `first` is the number of each shard's first document.

    `document` is the number of the one where the segment's first occurrence lies: the one whose id has the smallest hash.
    """
    shards = [np.load(folder / "counted.npy", mmap_mode="r") for folder in folders]
    num_ranges = 1
    while num_ranges * RANGE_ROWS < sum(len(shard) for shard in shards):
        num_ranges *= 2
    into.mkdir(exist_ok=True)
    paths = []
    for number in range(num_ranges):
        taken = [_in_range(shard, number, num_ranges) for shard in shards]
        for rows, begin in zip(taken, first, strict=False):
            rows["document"] += begin
        paths.append(into / f"repeated-{number:05d}.npy")
        np.save(paths[-1], _merged(np.concatenate(taken), rule))
    return paths


@dataclass(frozen=True)
class RepeatRule:
    """What repeats: a segment that occurs in more than `more_than` documents, or more often than that overall."""

    more_than: int
    count: str

    def holds(self, documents: npt.NDArray[np.uint32], times: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
        """Which segments repeat."""
        return (documents if self.count == "documents" else times) > self.more_than


def _write_segments(task: SegmentTask, folder: Path) -> None:
    table = read_table(task.path, ["id", "text"])
    found = [_segments_of(texts, begin, task) for begin, texts in _numbered(text_slices(table))]
    joined = ShardSegments(*(np.concatenate(column) for column in zip(*found, strict=True)))
    names = ("row", "start", "end", "hash")
    write_table(pa.table(dict(zip(names, joined, strict=True))), folder / SEGMENTS_FILE)
    np.save(folder / "counted.npy", _counted(joined, text_keys(table["id"])))


def _numbered(slices: Iterator[pa.Table]) -> Iterator[tuple[int, pa.ChunkedArray]]:
    begin = 0
    for piece in slices:
        yield begin, piece["text"]
        begin += len(piece)


def _segments_of(texts: pa.ChunkedArray, begin: int, task: SegmentTask) -> ShardSegments:
    batch = TextBatch(texts.combine_chunks())
    found = segments(batch.buffers, batch.words, task.kind)
    long = found.num_chars >= task.min_chars
    own = found.texts[long]
    base = batch.buffers.offsets[own]
    return ShardSegments(own + begin, found.cut_starts[long] - base, found.cut_ends[long] - base, found.hashes[long])


def _counted(found: ShardSegments, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.void]:
    """One row per different hash of the shard, ascending: its documents, its occurrences, its document of smallest key."""
    rows = np.zeros(len(found.hashes), dtype=Counted)
    rows["hash"], rows["key"], rows["document"], rows["times"] = found.hashes, keys[found.rows], found.rows, 1
    order = np.lexsort((rows["key"], rows["hash"]))
    rows = rows[order]
    is_other = np.ones(len(rows), dtype=np.bool_)
    is_other[1:] = (rows["hash"][1:] != rows["hash"][:-1]) | (rows["document"][1:] != rows["document"][:-1])
    rows["documents"] = is_other
    return _added_up(rows)


def _added_up(rows: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """Rows sorted by hash and key, one left per hash: the first, with the sums of all."""
    if not len(rows):
        return rows
    heads = np.flatnonzero(np.concatenate([[True], rows["hash"][1:] != rows["hash"][:-1]]))
    added = rows[heads]
    added["documents"] = np.add.reduceat(rows["documents"], heads, dtype=np.uint32)
    added["times"] = np.add.reduceat(rows["times"], heads, dtype=np.uint32)
    return added


def _in_range(shard: npt.NDArray[np.void], number: int, num_ranges: int) -> npt.NDArray[np.void]:
    """A copy of the rows whose hash lies in one of `num_ranges` equal ranges."""
    width = 2**64 // num_ranges
    low = int(np.searchsorted(shard["hash"], np.uint64(number * width)))
    is_last = number == num_ranges - 1
    high = len(shard) if is_last else int(np.searchsorted(shard["hash"], np.uint64((number + 1) * width)))
    return np.array(shard[low:high])


def _merged(rows: npt.NDArray[np.void], rule: RepeatRule) -> npt.NDArray[np.void]:
    added = _added_up(rows[np.lexsort((rows["key"], rows["hash"]))])
    added = added[rule.holds(added["documents"], added["times"])]
    repeated = np.zeros(len(added), dtype=Repeated)
    for name in Repeated.names or ():
        repeated[name] = added[name]
    return repeated
