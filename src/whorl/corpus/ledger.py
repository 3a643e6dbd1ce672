"""corpus/ledger: one row for every document that came in: kept or dropped, at which step, why, and its statistics.

Written beside the documents, read by `why`, `stats`, `peek`, `diff` and `whatif`. After the columns below come the figures that
the filters measured, one column each. A row of a dropped document keeps the beginning of its text, so that drops can be read
without the corpus they came from.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from whorl.core.config import PARTS
from whorl.core.errors import DataError, UsageError
from whorl.core.seed import Seed
from whorl.core.shards import iter_tables, shard_paths

__all__ = ["LEDGER", "START_CHARS", "peek", "stats", "why"]

START_CHARS = 240
# Columns every ledger begins with; figures, after edits, follow.
LEDGER = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("step", pa.string()),  # null when kept: what dropped it, e.g. gopher_quality
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),  # the deciding figure, or the id of the document kept instead
        pa.field("broken", pa.list_(pa.string())),  # every rule the document broke, `step.reason`
        pa.field("group_key", pa.string()),
        pa.field("part", pa.string()),  # also of duplicates: the part of their group
        pa.field("bytes_in", pa.int64()),  # of the text before edits
        pa.field("edit_spans", pa.int64()),
        pa.field("text_start", pa.large_string()),  # of dropped documents
    ]
)

Row = dict[str, Any]


def why(folder: Path, doc_id: str) -> list[Row]:
    """What happened to a document: its ledger row, then the rows of duplicates dropped in its favour.

    Raises UsageError when no document of that id came in, with ids that contain it.
    """
    tables = list(_ledgers(folder))
    own = [row for table in tables for row in _where(table, pc.equal(table["id"], doc_id))]
    own = own or _collected(folder, doc_id)
    if not own:
        near = [i for t in tables for i in t["id"].filter(pc.match_substring(t["id"], doc_id)).slice(0, 3).to_pylist()][:3]
        hint = f"; ids that contain it: {', '.join(near)}" if near else ""
        raise UsageError(f"no document '{doc_id}' came into {folder}{hint}")
    return own + [row for table in tables for row in _where(table, _is_copy_of(table, doc_id))]


def stats(folder: Path) -> Row:
    """Documents in and kept, drops by step and reason, documents and bytes by part, and quantiles of every statistic."""
    table = pa.concat_tables(_ledgers(folder), promote_options="default")
    kept = table.filter(table["kept"])
    dropped = table.filter(pc.invert(table["kept"])).group_by(["step", "reason"]).aggregate([([], "count_all")])
    drops = {f"{row['step']}.{row['reason']}": row["count_all"] for row in dropped.to_pylist()}
    return {
        "documents_in": len(table),
        "documents": len(kept),
        "dropped": dict(sorted(drops.items(), key=lambda item: (-item[1], item[0]))),
        "parts": {part: _size(kept.filter(pc.equal(kept["part"], part))) for part in PARTS},
        "statistics": {name: _quantiles(kept[name]) for name in _figures(kept)},
    }


def peek(folder: Path, *, dropped: str | None = None, n: int = 5, seed: int = 0) -> list[Row]:
    """Some documents at random: kept ones with their text, or dropped ones with its beginning.

    `dropped` is a reason (`too_short`), a step (`minhash`), or `any`. Raises UsageError when nothing was dropped for it.
    """
    chosen = Seed(seed).child("peek").generator()
    if dropped is None:
        documents = pa.concat_tables(iter_tables(folder, "documents", ["id", "source", "part", "text"]))
        return _some(documents, n, chosen)
    table = pa.concat_tables(_ledgers(folder))
    table = table.filter(pc.invert(table["kept"])).select(["id", "source", "step", "reason", "detail", "text_start"])
    if dropped != "any":
        by_name = pc.or_kleene(pc.equal(table["reason"], dropped), pc.equal(table["step"], dropped))
        known = sorted({*table["reason"].to_pylist(), *table["step"].to_pylist()})
        table = table.filter(by_name)
        if not len(table):
            raise UsageError(
                f"nothing was dropped for '{dropped}' in {folder}; reasons and steps: {', '.join(known) or 'none'}"
            )
    return _some(table, n, chosen)


def _ledgers(folder: Path) -> list[pa.Table]:
    if not shard_paths(folder, "ledger"):
        raise DataError(f"{folder} holds no ledger; want a folder of documents made by corpus.collect or corpus.refine")
    return list(iter_tables(folder, "ledger"))


def _where(table: pa.Table, mask: pa.ChunkedArray) -> list[Row]:
    rows: list[Row] = table.filter(mask).to_pylist()
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def _is_copy_of(table: pa.Table, doc_id: str) -> pa.ChunkedArray:
    return pc.fill_null(pc.and_kleene(pc.equal(table["detail"], doc_id), pc.equal(table["reason"], "duplicate")), False)  # noqa: FBT003


def _collected(folder: Path, doc_id: str) -> list[Row]:
    """The row of a document that a ledger of skips does not list because it was kept."""
    for table in iter_tables(folder, "documents", ["id", "source"]):
        found = table.filter(pc.equal(table["id"], doc_id)).to_pylist()
        if found:
            return [{**found[0], "kept": True}]
    return []


def _figures(table: pa.Table) -> list[str]:
    """Names of the numeric figures a ledger holds beside its own columns."""
    return [field.name for field in table.schema if field.name not in LEDGER.names and pa.types.is_primitive(field.type)]


def _size(rows: pa.Table) -> Mapping[str, int]:
    return {"documents": len(rows), "bytes": pc.sum(rows["num_bytes"]).as_py() or 0}


def _quantiles(column: pa.ChunkedArray) -> Mapping[str, float]:
    values = column.drop_null().to_numpy()
    if not len(values):
        return {}
    return {f"p{q}": float(np.percentile(values, q)) for q in (5, 50, 95)}


def _some(table: pa.Table, n: int, generator: np.random.Generator) -> list[Row]:
    rows = generator.permutation(len(table))[:n]
    return _where(table.take(pa.array(np.sort(rows))), pa.chunked_array([pa.array([True] * len(rows), pa.bool_())]))
