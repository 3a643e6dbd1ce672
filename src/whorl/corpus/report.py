"""corpus/report: what a corpus went through: flow by step, drops by rule, distributions against thresholds, samples.

Computed from the finished ledgers and documents, a shard at a time; the same corpus gives the same report. Draws nothing
(corpus/report_page) and decides nothing.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from whorl.core.config import PARTS
from whorl.core.shards import iter_tables
from whorl.corpus.filters import Filter
from whorl.corpus.verdict import Rule
from whorl.text.columns import text_keys

__all__ = ["corpus_report", "write_report"]

_BINS = 32
_SAMPLED_ROWS = 65_536  # of documents, to find the range of a distribution before counting all of it
_SHOWN_DOCUMENTS = 3  # per reason
_SHOWN_CHARS = 600  # of a kept document; of a dropped one the ledger has the beginning
_SHOWN_HOSTS = 15


def write_report(folder: Path, filters: Sequence[Filter], dedup: Sequence[str]) -> dict[str, Any]:
    """Compute the report of a folder of documents and write it there as `report.json`."""
    report = corpus_report(folder, filters, dedup)
    (folder / "report.json").write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return report


def corpus_report(folder: Path, filters: Sequence[Filter], dedup: Sequence[str]) -> dict[str, Any]:
    """Everything a reader asks of a corpus; `filters` and `dedup` are those it was made with, in order."""
    tally = _Tally()
    for ledger in iter_tables(folder, "ledger"):
        tally.add(ledger)
    steps = ["edits", *dict.fromkeys(rule.use for rule in filters), *dict.fromkeys(dedup)]
    return {
        "flow": _flow(tally, steps),
        "reasons": [_reason(tally, name) for name, _ in tally.first.most_common()],
        "parts": [{"part": part, **tally.parts[part].plain()} for part in PARTS],
        "duplicates": _clusters(tally),
        "distributions": [_plain(histogram) for histogram in _histograms(folder, filters)],
        "names": {name: _named(counts) for name, counts in sorted(tally.names.items())},
        "samples": {"dropped": _dropped_samples(tally), "kept": _kept_samples(folder)},
    }


@dataclass
class _Amount:
    documents: int = 0
    num_bytes: int = 0

    def add(self, rows: pa.Table, column: str) -> None:
        self.documents += len(rows)
        self.num_bytes += pc.sum(rows[column]).as_py() or 0

    def plain(self) -> dict[str, int]:
        return {"documents": self.documents, "bytes": self.num_bytes}


@dataclass
class _Tally:
    """Sums over ledgers. Memory: one entry per rule, part, name and cluster of copies."""

    came: _Amount = field(default_factory=_Amount)  # before edits
    edited: _Amount = field(default_factory=_Amount)
    steps: dict[str, _Amount] = field(default_factory=dict)  # dropped, by step
    first: Counter[str] = field(default_factory=Counter)  # documents by the rule that dropped them
    dropped_bytes: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)  # documents by every rule they break
    alone: Counter[str] = field(default_factory=Counter)  # documents by the only rule they break
    parts: dict[str, _Amount] = field(default_factory=lambda: {part: _Amount() for part in PARTS})
    copies: Counter[str] = field(default_factory=Counter)  # copies by the document kept instead
    names: dict[str, dict[str, Counter[str]]] = field(default_factory=dict)  # figures that are names: kept and dropped
    samples: dict[str, "_Smallest"] = field(default_factory=dict)

    def add(self, ledger: pa.Table) -> None:
        """Count one ledger in."""
        self.came.add(ledger, "bytes_in")
        self.edited.add(ledger, "num_bytes")
        kept, dropped = ledger.filter(ledger["kept"]), ledger.filter(pc.invert(ledger["kept"]))
        for part in PARTS:
            self.parts[part].add(kept.filter(pc.equal(kept["part"], part)), "num_bytes")
        self._add_names("kept", kept)
        self._add_names("dropped", dropped)
        rules = pc.binary_join_element_wise(dropped["step"], dropped["reason"], ".")
        self.copies.update(dropped["detail"].filter(pc.equal(dropped["reason"], "duplicate")).to_pylist())
        for name in pc.unique(rules).to_pylist():
            rows = dropped.filter(pc.equal(rules, name))
            amount = _Amount()
            amount.add(rows, "num_bytes")
            step = self.steps.setdefault(name.partition(".")[0], _Amount())
            step.documents, step.num_bytes = step.documents + amount.documents, step.num_bytes + amount.num_bytes
            self.first[name] += amount.documents
            self.dropped_bytes[name] += amount.num_bytes
            self.samples.setdefault(name, _Smallest(_SHOWN_DOCUMENTS)).add(
                rows.select(["id", "source", "detail", "text_start"])
            )
        self.broken.update(pc.list_flatten(dropped["broken"]).to_pylist())
        is_alone = pc.equal(pc.list_value_length(dropped["broken"]), 1)
        self.alone.update(pc.list_flatten(dropped["broken"].filter(is_alone)).to_pylist())

    def _add_names(self, fate: str, rows: pa.Table) -> None:
        for column in rows.schema:
            if "." in column.name and pa.types.is_string(column.type):
                counts = self.names.setdefault(column.name, {"kept": Counter(), "dropped": Counter()})
                counts[fate].update(value or "not known" for value in rows[column.name].to_pylist())


class _Smallest:
    """The rows whose hashed ids are smallest: a sample that does not depend on the order of shards."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._rows: list[tuple[int, dict[str, Any]]] = []

    def add(self, rows: pa.Table) -> None:
        keys = text_keys(rows["id"])
        best = np.argsort(keys, kind="stable")[: self._count]
        found = [(int(keys[i]), row) for i, row in zip(best, rows.take(pa.array(best)).to_pylist(), strict=True)]
        self._rows = sorted([*self._rows, *found], key=lambda pair: pair[0])[: self._count]

    def rows(self) -> list[dict[str, Any]]:
        return [row for _, row in self._rows]


def _flow(tally: _Tally, steps: Sequence[str]) -> list[dict[str, Any]]:
    """What is left after each step; `edits` change bytes and drop what they leave empty."""
    left = _Amount(tally.edited.documents, tally.edited.num_bytes)
    flow = [{"step": "came in", **tally.came.plain(), "dropped": 0}]
    for step in steps:
        gone = tally.steps.get(step, _Amount())
        left = _Amount(left.documents - gone.documents, left.num_bytes - gone.num_bytes)
        flow.append({"step": step, **left.plain(), "dropped": gone.documents})
    kept = sum(amount.documents for amount in tally.parts.values())
    assert left.documents == kept, f"the flow ends with {left.documents} documents, the parts hold {kept}"
    return flow


def _reason(tally: _Tally, name: str) -> dict[str, Any]:
    return {
        "rule": name,
        "documents": tally.first[name],
        "bytes": tally.dropped_bytes[name],
        "broken_by": tally.broken[name] or tally.first[name],  # copies break no rule of figures
        "broken_alone": tally.alone[name] if tally.broken[name] else tally.first[name],
    }


def _clusters(tally: _Tally) -> dict[str, Any]:
    """How many documents stand for how many copies, and which for most."""
    sizes = Counter(count + 1 for count in tally.copies.values())
    largest = sorted(tally.copies.items(), key=lambda item: (-item[1], item[0]))[:5]
    return {
        "clusters": len(tally.copies),
        "by_size": {str(size): count for size, count in sorted(sizes.items())},
        "largest": [{"id": doc_id, "copies": count} for doc_id, count in largest],
    }


def _named(counts: Mapping[str, Counter[str]]) -> list[dict[str, Any]]:
    total = counts["kept"] + counts["dropped"]
    shown = sorted(total.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN_HOSTS]
    return [{"name": name, "kept": counts["kept"][name], "dropped": counts["dropped"][name]} for name, _ in shown]


class _Histogram(NamedTuple):
    rule: str
    at_least: float
    at_most: float
    edges: npt.NDArray[np.float64]
    kept: npt.NDArray[np.int64]
    dropped: npt.NDArray[np.int64]


def _plain(histogram: _Histogram) -> dict[str, Any]:
    bounds = {"at_least": histogram.at_least, "at_most": histogram.at_most}
    return {
        "rule": histogram.rule,
        **{name: bound for name, bound in bounds.items() if np.isfinite(bound)},
        "edges": [float(f"{edge:.6g}") for edge in histogram.edges],
        "kept": histogram.kept.tolist(),
        "dropped": histogram.dropped.tolist(),
    }


def _histograms(folder: Path, filters: Sequence[Filter]) -> list[_Histogram]:
    """One per rule with bounds: how its figure is distributed over kept and dropped documents. Two passes over the ledger."""
    found = {name: _empty(name, rule, values) for name, (rule, values) in _sampled(folder, filters).items()}
    for ledger in iter_tables(folder, "ledger"):
        is_kept = ledger["kept"].to_numpy()
        for name, rule in _rules(ledger, filters):
            histogram = found[name]
            for counts, rows in ((histogram.kept, is_kept), (histogram.dropped, ~is_kept)):
                values = np.nan_to_num(np.asarray(rule.values, dtype=np.float64)[rows])
                inside = np.clip(values, histogram.edges[0], histogram.edges[-1])
                counts += np.histogram(inside, histogram.edges)[0]
    return list(found.values())


def _sampled(folder: Path, filters: Sequence[Filter]) -> dict[str, tuple[Rule, npt.NDArray[np.float64]]]:
    """Every rule with some of its values."""
    values: dict[str, list[npt.NDArray[np.float64]]] = {}
    rules: dict[str, Rule] = {}
    room = _SAMPLED_ROWS
    for ledger in iter_tables(folder, "ledger"):
        taken = ledger.slice(0, max(room, 1))
        room -= len(taken)
        for name, rule in _rules(taken, filters):
            rules.setdefault(name, rule)
            values.setdefault(name, []).append(np.asarray(rule.values, dtype=np.float64))
        if room <= 0:
            break
    return {name: (rules[name], np.concatenate(found)) for name, found in values.items()}


def _empty(name: str, rule: Rule, values: npt.NDArray[np.float64]) -> _Histogram:
    """Bins over the middle 99 % of the values and the bounds; what lies outside is counted at the ends."""
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [0.5, 99.5]) if len(finite) else (0.0, 1.0)
    bounds = [bound for bound in (rule.at_least, rule.at_most) if np.isfinite(bound) and bound <= 4 * high + 1]
    low, high = min(low, *bounds, high), max(high, *bounds, low)
    edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
    zeros = np.zeros((2, _BINS), dtype=np.int64)
    return _Histogram(name, rule.at_least, rule.at_most, edges, zeros[0], zeros[1])


def _rules(ledger: pa.Table, filters: Sequence[Filter]) -> Iterator[tuple[str, Rule]]:
    columns = {name: ledger[name].combine_chunks() for name in ledger.column_names}
    for member in filters:
        for rule in member.rules(columns):
            if isinstance(rule, Rule):
                yield f"{member.use}.{rule.reason}", rule


def _dropped_samples(tally: _Tally) -> list[dict[str, Any]]:
    return [{"rule": name, "documents": tally.samples[name].rows()} for name, _ in tally.first.most_common()]


def _kept_samples(folder: Path) -> list[dict[str, Any]]:
    chosen = _Smallest(2 * _SHOWN_DOCUMENTS)
    for documents in iter_tables(folder, "documents", ["id", "source", "url", "part", "text"]):
        starts = pc.utf8_slice_codeunits(documents["text"], 0, _SHOWN_CHARS)
        chosen.add(documents.drop_columns(["text"]).append_column("text_start", starts))
    return chosen.rows()
