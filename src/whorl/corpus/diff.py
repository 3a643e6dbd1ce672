"""corpus/diff: what differs between two corpora: which documents came and went, are dropped now, or have other text.

Reads ids, fates and hashes of texts; holds about 60 bytes per document of both. Neither corpus need be made from the other.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from whorl.core.errors import DataError
from whorl.core.shards import iter_tables, shard_paths
from whorl.text.columns import text_keys

__all__ = ["diff"]

_SHOWN = 5  # ids named per kind of change
_NO_TEXT = np.uint64(0)


def diff(folder: Path, *, other: Path) -> dict[str, Any]:
    """Counts and a few ids for every kind of change from `folder` to `other`. Raises DataError when one holds no documents."""
    before, after = _fates(folder), _fates(other)
    both = before.join(after, keys="id", join_type="full outer", left_suffix="_before", right_suffix="_after")
    both = both.sort_by("id").combine_chunks()
    was_there, is_there = (pc.is_valid(both[name]) for name in ("kept_before", "kept_after"))
    was_kept, is_kept = (pc.fill_null(both[name], False) for name in ("kept_before", "kept_after"))  # noqa: FBT003
    stays = pc.and_(was_kept, is_kept)
    changes = {
        "came": pc.and_(is_there, pc.invert(was_there)),
        "gone": pc.and_(was_there, pc.invert(is_there)),
        "newly_kept": pc.and_(pc.and_(was_there, is_there), pc.and_(is_kept, pc.invert(was_kept))),
        "newly_dropped": pc.and_(pc.and_(was_there, is_there), pc.and_(was_kept, pc.invert(is_kept))),
        "text_changed": pc.and_(stays, pc.fill_null(pc.not_equal(both["text_before"], both["text_after"]), False)),  # noqa: FBT003
        "part_changed": pc.and_(stays, pc.fill_null(pc.not_equal(both["part_before"], both["part_after"]), False)),  # noqa: FBT003
    }
    found = {name: both.filter(mask) for name, mask in changes.items()}
    return {
        "documents": {"before": pc.sum(was_kept).as_py() or 0, "after": pc.sum(is_kept).as_py() or 0},
        "bytes": {side: pc.sum(both[f"bytes_{side}"]).as_py() or 0 for side in ("before", "after")},
        "unchanged": int(pc.sum(stays).as_py() or 0) - len(found["text_changed"]),
        "changes": {name: len(rows) for name, rows in found.items()},
        "examples": {name: rows["id"].slice(0, _SHOWN).to_pylist() for name, rows in found.items() if len(rows)},
        "newly_dropped_by": dict(Counter(found["newly_dropped"]["why_after"].to_pylist()).most_common()),
        "newly_kept_despite": dict(Counter(found["newly_kept"]["why_before"].to_pylist()).most_common()),
    }


def _fates(folder: Path) -> pa.Table:
    """id, kept, why, part, bytes and text (a hash) of every document that came in; of kept ones where there is no ledger."""
    if not shard_paths(folder):
        raise DataError(f"{folder} holds no documents-*.parquet; want a folder of documents")
    kept = [_kept(table) for table in iter_tables(folder, "documents", ["id", "part", "text"])]
    dropped = [_dropped(table) for table in iter_tables(folder, "ledger", ["id", "kept", "step", "reason"])]
    return pa.concat_tables([*kept, *dropped])


def _kept(documents: pa.Table) -> pa.Table:
    count = len(documents)
    return pa.table(
        {
            "id": documents["id"],
            "kept": pa.array(np.ones(count, dtype=np.bool_)),
            "why": pa.nulls(count, pa.string()),
            "part": documents["part"],
            "bytes": pc.binary_length(documents["text"]).cast(pa.int64()),
            "text": text_keys(documents["text"]) if count else np.zeros(0, dtype=np.uint64),
        }
    )


def _dropped(ledger: pa.Table) -> pa.Table:
    rows = ledger.filter(pc.invert(ledger["kept"]))
    count = len(rows)
    return pa.table(
        {
            "id": rows["id"],
            "kept": pa.array(np.zeros(count, dtype=np.bool_)),
            "why": pc.binary_join_element_wise(rows["step"], rows["reason"], "."),
            "part": pa.nulls(count, pa.string()),
            "bytes": np.zeros(count, dtype=np.int64),
            "text": np.full(count, _NO_TEXT),
        }
    )
