"""corpus/passing: write a shard whose documents a stage passes on, shortened or not, or drops, with the ledger of all.

For stages after corpus.refine or before it: parts stay as they came. Does not decide anything.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from whorl.core.artifact import Artifact
from whorl.core.config import PARTS
from whorl.core.errors import DataError
from whorl.core.shards import read_table, shard_path, shard_paths, write_table
from whorl.corpus.ledger import LEDGER, START_CHARS

__all__ = ["Passed", "Passing", "documents_in", "passed_counts", "read_documents", "write_passing"]


@dataclass(frozen=True)
class Passing:
    """A shard on its way: one entry per document that came in."""

    step: str  # the stage's name in the ledger
    came: pa.Table  # as it came in
    texts: pa.Array  # after cuts, large strings
    reasons: npt.NDArray[np.object_]  # why it is dropped, or None
    details: npt.NDArray[np.object_]
    num_spans: npt.NDArray[np.int64]  # taken out of it
    figures: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)  # further columns of the ledger


class Passed(NamedTuple):
    """Counts of one shard."""

    documents_in: int
    bytes_in: int
    dropped: dict[str, int]  # by `step.reason`
    part_documents: dict[str, int]  # parts that occur
    part_bytes: dict[str, int]


def documents_in(artifact: Artifact) -> list[tuple[Path, str]]:
    """The shards of an artifact in order, each with the hash of its content. Raises DataError when there are none."""
    paths = shard_paths(artifact.path)
    if not paths:
        raise DataError(f"{artifact.path} holds no documents-*.parquet; want a folder of documents")
    return [(path, str(artifact.manifest["files"][path.name]["sha256"])) for path in paths]


def read_documents(path: Path) -> pa.Table:
    """One shard, its texts as large strings whatever they are on disk."""
    table = read_table(path)
    column = table.schema.get_field_index("text")
    return table.set_column(column, pa.field("text", pa.large_string(), nullable=False), table["text"].cast(pa.large_string()))


def write_passing(shard: Passing, folder: Path, number: int) -> Passed:
    """Write `documents-N.parquet` with what is kept and `ledger-N.parquet` with everything."""
    is_kept = np.array([reason is None for reason in shard.reasons], dtype=np.bool_)
    came = shard.came
    column = came.schema.get_field_index("text")
    documents = came.set_column(column, came.schema.field("text"), shard.texts).filter(pa.array(is_kept))
    write_table(documents, shard_path(folder, "documents", number))
    write_table(_ledger(shard, is_kept), shard_path(folder, "ledger", number))
    dropped = Counter(f"{shard.step}.{reason}" for reason in shard.reasons if reason is not None)
    sizes = pa.table({"part": pc.fill_null(documents["part"], ""), "bytes": pc.binary_length(documents["text"])})
    by_part = sizes.group_by("part").aggregate([("bytes", "sum"), ([], "count_all")]).to_pylist()
    return Passed(
        len(came),
        pc.sum(pc.binary_length(came["text"])).as_py() or 0,
        dict(dropped),
        {row["part"]: row["count_all"] for row in by_part},
        {row["part"]: row["bytes_sum"] for row in by_part},
    )


def passed_counts(shards: Sequence[Passed]) -> dict[str, Any]:
    """Counts of all shards together, as a stage returns them."""
    dropped = sum((Counter(shard.dropped) for shard in shards), Counter[str]())
    came = sum(shard.documents_in for shard in shards)
    num_docs = sum((Counter(shard.part_documents) for shard in shards), Counter[str]())
    num_bytes = sum((Counter(shard.part_bytes) for shard in shards), Counter[str]())
    assert came == num_docs.total() + dropped.total(), f"{came} documents in, {num_docs.total()} out, {dropped.total()} dropped"
    counts: dict[str, Any] = {"documents_in": came, "documents": num_docs.total(), "dropped": dropped.total()}
    counts |= {"bytes_in": sum(shard.bytes_in for shard in shards), "bytes": num_bytes.total()}
    if num_docs.total() != num_docs[""]:
        for part in PARTS:
            counts |= {f"{part}.documents": num_docs[part], f"{part}.bytes": num_bytes[part]}
    return counts | {f"dropped.{name}": count for name, count in sorted(dropped.items())}


def _ledger(shard: Passing, is_kept: npt.NDArray[np.bool_]) -> pa.Table:
    came, kept = shard.came, pa.array(is_kept)
    reasons = pa.array(shard.reasons, pa.string())
    named = pc.binary_join_element_wise(shard.step, reasons, ".")
    ends = np.concatenate([[0], np.cumsum(~is_kept)]).astype(np.int32)
    starts = pc.utf8_slice_codeunits(came["text"].combine_chunks(), 0, START_CHARS)
    columns = {
        "id": came["id"],
        "source": came["source"],
        "kept": kept,
        "step": pc.if_else(kept, pa.scalar(None, pa.string()), shard.step),
        "reason": reasons,
        "detail": pa.array(shard.details, pa.string()),
        "broken": pa.ListArray.from_arrays(pa.array(ends), named.drop_null()),
        "group_key": pa.nulls(len(came), pa.string()),
        "part": came["part"],
        "bytes_in": pc.binary_length(came["text"]),
        "edit_spans": pa.array(shard.num_spans),
        "text_start": pc.if_else(kept, pa.scalar(None, pa.large_string()), starts),
        "num_bytes": pc.binary_length(shard.texts),
        **{name: pa.array(values) for name, values in shard.figures.items()},
    }
    extra = [pa.field(name, pa.int64()) for name in ("num_bytes", *shard.figures)]
    return pa.table(columns, schema=pa.schema([*LEDGER, *extra]))
