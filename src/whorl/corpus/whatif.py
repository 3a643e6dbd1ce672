"""corpus/whatif: other thresholds applied to a ledger: who would be dropped, who would come back. Reads no text.

Covers what filters decide from figures. Copies are not decided again: a document that comes back may turn out to be one, and a
copy may take the place of a document that goes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import ValidationError

from whorl.core.errors import UsageError, suggestion
from whorl.core.shards import iter_tables
from whorl.corpus.filters import Filter
from whorl.corpus.judge import judge

__all__ = ["whatif"]

_SHOWN = 5


def whatif(folder: Path, *, filters: Sequence[Mapping[str, Any]], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Drops by rule under the filters a corpus was made with and under changed thresholds.

    `changes` maps `filter.threshold` to a value. Raises UsageError for a filter, field or value that cannot be.
    """
    before = [_filter(config) for config in filters]
    after = _changed(before, filters, changes)
    dropped: dict[str, Counter[str]] = {"before": Counter(), "after": Counter()}
    moved: dict[str, list[pa.Table]] = {"newly_kept": [], "newly_dropped": []}
    num_kept = {"before": 0, "after": 0}
    for ledger in iter_tables(folder, "ledger"):
        old, new = judge(before, ledger), judge(after, ledger)
        for side, found in (("before", old), ("after", new)):
            num_kept[side] += int(found.is_kept.sum())
            dropped[side].update(_reasons(found.step, found.reason, ~found.is_kept))
        moved["newly_kept"].append(_rows(ledger, new.is_kept & ~old.is_kept))
        moved["newly_dropped"].append(_rows(ledger, old.is_kept & ~new.is_kept))
    ids = {name: [i for table in tables for i in table["id"].to_pylist()] for name, tables in moved.items()}
    return {
        "passed_filters": num_kept,
        "dropped": {side: dict(counts.most_common()) for side, counts in dropped.items()},
        "newly_kept": len(ids["newly_kept"]),
        "newly_dropped": len(ids["newly_dropped"]),
        "examples": {name: found[:_SHOWN] for name, found in ids.items()},
    }


def _filter(config: Mapping[str, Any]) -> Filter:
    """A filter as a manifest spells it. What a reference pointed at does not matter to thresholds."""
    drawn = {
        key: "earlier" if isinstance(value, Mapping) and set(value) == {"part"} else value for key, value in config.items()
    }
    return Filter.model_validate(drawn)


def _changed(before: Sequence[Filter], configs: Sequence[Mapping[str, Any]], changes: Mapping[str, Any]) -> list[Filter]:
    asked: dict[str, dict[str, Any]] = {}
    for address, value in changes.items():
        use, _, field = address.partition(".")
        own = next((rule for rule in before if rule.use == use), None)
        if own is None:
            known = sorted({rule.use for rule in before})
            raise UsageError(
                f"no filter '{use}' made this corpus (filters: {', '.join(known) or 'none'}){suggestion(use, known)}"
            )
        if field in own.measures:
            raise UsageError(f"{address} decides what is measured, not a threshold; change it in the recipe and run it again")
        asked.setdefault(use, {})[field] = value
    try:
        return [_filter({**config, **asked.get(rule.use, {})}) for rule, config in zip(before, configs, strict=True)]
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{place or ', '.join(changes)}: {first['msg']}") from error


def _reasons(step: pa.Array, reason: pa.Array, is_dropped: npt.NDArray[np.bool_]) -> list[str]:
    mask = pa.array(is_dropped)
    pairs = zip(step.filter(mask).to_pylist(), reason.filter(mask).to_pylist(), strict=True)
    return [f"{one}.{other}" for one, other in pairs]


def _rows(ledger: pa.Table, mask: npt.NDArray[np.bool_]) -> pa.Table:
    return ledger.select(["id"]).filter(pa.array(mask))
