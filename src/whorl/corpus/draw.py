"""corpus/draw: which documents of a shard go into a mixture, and how often.

Documents have one order for a seed: by a hash of their ids. A source is read whole some times, and then up to a point of that
order; so a larger mixture holds every smaller one, and a document's place depends on nothing but its id. Copies of a document
are named `id@2`, `id@3`. Repeats training text only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from whorl.core.config import PARTS
from whorl.core.errors import DataError
from whorl.core.shards import ShardCache, read_table, shard_path, write_table
from whorl.corpus.group_keys import GroupBy, group_keys
from whorl.corpus.groups import KnownParts
from whorl.corpus.passing import Passed, Passing, write_passing
from whorl.text.columns import text_keys

__all__ = [
    "NOT_DRAWN",
    "STEP",
    "DrawRule",
    "DrawTask",
    "Drawn",
    "MeasureTask",
    "Measured",
    "Quota",
    "cut_off",
    "draw_shard",
    "measure_shard",
    "order_of",
    "read_measured",
]

STEP = "mix"
NOT_DRAWN = "not_drawn"
_TRAIN = PARTS.index("train")
_FILE = "measured.parquet"
_GROUP_ROWS = 8192
_NEEDED = ["id", "source", "url", "part", "text"]


@dataclass(frozen=True)
class MeasureTask:
    """One shard to look through; goes to a worker process."""

    path: Path
    key: str  # of the cache
    shards: ShardCache
    group_by: GroupBy

    def __str__(self) -> str:
        return str(self.path)


class Measured(NamedTuple):
    """One entry per document of a source."""

    ids: npt.NDArray[np.uint64]  # hashes
    groups: npt.NDArray[np.uint64]  # hashes of group keys
    num_bytes: npt.NDArray[np.int64]
    parts: npt.NDArray[np.int8]  # index in PARTS


class Quota(NamedTuple):
    """How much of a source is taken: all of it `whole` times, and once more what comes before `before` in the order."""

    times: float  # how often it is read, in bytes
    whole: int
    before: int  # 2**64: everything

    @property
    def is_repeating(self) -> bool:
        """Whether anything is taken twice."""
        return self.whole > 1 or (self.whole == 1 and self.before > 0)

    def copies(self, order: npt.NDArray[np.uint64], is_train: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """How often each document is taken; outside training text at most once."""
        is_before = np.ones(len(order), dtype=np.bool_) if self.before >= 2**64 else order < np.uint64(self.before)
        copies = self.whole + is_before.astype(np.int64)
        return np.where(is_train, copies, np.minimum(copies, 1))


@dataclass(frozen=True)
class DrawRule:
    """What is the same for every shard of a mixture."""

    seed: int
    group_by: GroupBy
    stricter: KnownParts  # groups that have a stricter part in another source
    is_repeating: bool  # whether anything at all is taken twice


@dataclass(frozen=True)
class DrawTask:
    """One shard and what is to be taken of it; goes to a worker process."""

    path: Path
    name: str  # of its source
    quota: Quota
    rule: DrawRule
    folder: Path
    number: int  # of the shard in the mixture
    copies_number: int  # of the shard that takes its copies

    def __str__(self) -> str:
        return str(self.path)


class Drawn(NamedTuple):
    """Counts of one shard."""

    passed: Passed  # without copies
    copies: int
    copy_bytes: int
    train_bytes: int  # with copies
    moved: int  # documents whose part became stricter


def measure_shard(task: MeasureTask) -> Path:
    """A file with the columns of Measured. Raises DataError for documents without parts."""
    folder = task.shards.make(task.key, lambda folder: write_table(_measured(task), folder / _FILE))
    return folder / _FILE


def read_measured(paths: Sequence[Path]) -> Measured:
    """The measures of a source's shards, one after another."""
    table = pa.concat_tables([read_table(path) for path in paths])
    return Measured(*(table[name].to_numpy() for name in Measured._fields))


def order_of(ids: npt.NDArray[np.uint64], seed: int) -> npt.NDArray[np.uint64]:
    """Each document's place in the order of a seed, from the hash of its id (splitmix64)."""
    code = ids ^ np.uint64(seed)
    code = (code ^ (code >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    code = (code ^ (code >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return code ^ (code >> np.uint64(31))


def cut_off(order: npt.NDArray[np.uint64], num_bytes: npt.NDArray[np.int64], times: float) -> Quota:
    """What to take so that the documents are read `times` times, counted in bytes; over it by less than one document."""
    whole = int(times)
    wanted = (times - whole) * float(num_bytes.sum())
    ranked = np.argsort(order)
    before = np.cumsum(num_bytes[ranked]) - num_bytes[ranked]  # bytes ahead of each document
    taken = int(np.searchsorted(before, wanted, side="left"))
    if taken == 0:
        return Quota(times, whole, 0)
    return Quota(times, whole, int(order[ranked[taken]]) if taken < len(ranked) else 2**64)


def draw_shard(task: DrawTask) -> Drawn:
    """Write what is taken, its copies, and a ledger of everything."""
    came = read_table(task.path)
    if task.rule.is_repeating:
        _refuse_copies(task.path, came["id"])
    parts = _resolved(task, came)
    moved = int(pc.sum(pc.not_equal(parts, came["part"].combine_chunks())).as_py() or 0)
    came = came.set_column(came.schema.get_field_index("part"), came.schema.field("part"), parts)
    is_train = pc.equal(parts, "train").to_numpy(zero_copy_only=False)
    copies = task.quota.copies(order_of(text_keys(came["id"]), task.rule.seed), is_train)
    passed = write_passing(_passing(task, came, copies), task.folder, task.number)
    num_bytes = pc.binary_length(came["text"]).to_numpy().astype(np.int64)
    repeats = np.maximum(copies - 1, 0)
    if repeats.any():
        _write_copies(task, came, copies)
    return Drawn(passed, int(repeats.sum()), int((repeats * num_bytes).sum()), int((copies * num_bytes)[is_train].sum()), moved)


def _measured(task: MeasureTask) -> pa.Table:
    table = read_table(task.path, _NEEDED)
    parts = pc.index_in(table["part"], value_set=pa.array(PARTS))
    if parts.null_count:
        example = table["id"].filter(pc.is_null(parts)).slice(0, 1).to_pylist()[0]
        raise DataError(f"{task.path}: '{example}' has no part (train, held_out or exam); mix what corpus.refine made")
    return pa.table(
        {
            "ids": text_keys(table["id"]),
            "groups": text_keys(group_keys(table, task.group_by)),
            "num_bytes": pc.binary_length(table["text"]).cast(pa.int64()),
            "parts": parts.cast(pa.int8()),
        }
    )


def _refuse_copies(path: Path, ids: pa.ChunkedArray) -> None:
    copies = ids.filter(pc.match_substring_regex(ids, "@[0-9]+$"))
    if len(copies):
        raise DataError(f"{path}: '{copies[0]}' is named like a copy; a mixture that repeats wants sources without repeats")


def _resolved(task: DrawTask, came: pa.Table) -> pa.Array:
    """The part of each document, the strictest its group has anywhere in the mixture."""
    own = pc.index_in(came["part"], value_set=pa.array(PARTS)).to_numpy().astype(np.int64)
    known = task.rule.stricter.look_up(text_keys(group_keys(came, task.rule.group_by)))
    return pa.array(np.array(PARTS, dtype=object)[np.maximum(own, known)], pa.string())


def _passing(task: DrawTask, came: pa.Table, copies: npt.NDArray[np.int64]) -> Passing:
    reasons = np.full(len(came), None, dtype=object)
    details = reasons.copy()
    reasons[copies == 0] = NOT_DRAWN
    details[copies == 0] = f"{task.name} is read {task.quota.times:.3g} times"
    num_spans = np.zeros(len(came), dtype=np.int64)
    return Passing(STEP, came, came["text"].combine_chunks(), reasons, details, num_spans, {"copies": copies})


def _write_copies(task: DrawTask, came: pa.Table, copies: npt.NDArray[np.int64]) -> None:
    """One file with the second copies, then the third; memory holds one of them."""
    final = shard_path(task.folder, "documents", task.copies_number)
    draft = final.with_name(f".{final.name}.tmp")
    with pq.ParquetWriter(draft, came.schema, compression="zstd") as writer:
        for copy in range(2, int(copies.max()) + 1):
            again = came.filter(pa.array(copies >= copy))
            ids = pc.binary_join_element_wise(again["id"], f"@{copy}", "")
            writer.write_table(again.set_column(0, came.schema.field("id"), ids), row_group_size=_GROUP_ROWS)
    draft.replace(final)
