"""corpus/verdict: rules over figures, and what they say of every document: keep, or the rules it breaks, the first deciding.

Rules look at figures only, never at text, so the same rules with other thresholds can be applied to a ledger long after the
texts were read. Columns throughout; words are made of them only for documents that are dropped.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Choice", "Figure", "Judged", "Rule", "judged", "numbers", "ratio"]

Figure: TypeAlias = npt.NDArray[Any] | pa.Array  # one entry per document


class Rule(NamedTuple):
    """One figure per document and the bounds it must stay within, both included. A NaN breaks the rule."""

    reason: str
    values: npt.NDArray[np.float64] | npt.NDArray[np.int64]
    at_least: float = -np.inf
    at_most: float = np.inf

    @property
    def wanted(self) -> str:
        """The bounds in words."""
        if np.isinf(self.at_most):
            return f"want at least {self.at_least:g}"
        return f"want at most {self.at_most:g}" if np.isinf(self.at_least) else f"want {self.at_least:g} to {self.at_most:g}"

    @property
    def is_broken(self) -> npt.NDArray[np.bool_]:
        """Which documents break it."""
        return ~((self.values >= self.at_least) & (self.values <= self.at_most))

    def shown(self, rows: npt.NDArray[np.int64]) -> list[str]:
        """The figure of some documents."""
        return [f"{value:.4g}" for value in self.values[rows].tolist()]


class Choice(NamedTuple):
    """One name per document, or null, and the names that are wanted (None: any) or not wanted."""

    reason: str
    values: pa.Array  # strings
    allowed: frozenset[str] | None = None
    denied: frozenset[str] = frozenset()
    is_null_allowed: bool = True

    @property
    def wanted(self) -> str:
        """The names in words."""
        if self.allowed is not None:
            return f"want one of {', '.join(sorted(self.allowed)) or 'none'}"
        return f"want none of {', '.join(sorted(self.denied))}" if self.denied else "want a value"

    @property
    def is_broken(self) -> npt.NDArray[np.bool_]:
        """Which documents break it."""
        is_null = pc.is_null(self.values).to_numpy(zero_copy_only=False)
        is_bad = _is_in(self.values, self.denied)
        if self.allowed is not None:
            is_bad |= ~_is_in(self.values, self.allowed)
        return np.asarray(np.where(is_null, not self.is_null_allowed, is_bad))

    def shown(self, rows: npt.NDArray[np.int64]) -> list[str]:
        """The name of some documents."""
        return [value or "not known" for value in self.values.take(pa.array(rows)).to_pylist()]


class Judged(NamedTuple):
    """What became of a batch. `step`, `reason` and `detail` are null where a document is kept."""

    is_kept: npt.NDArray[np.bool_]
    step: pa.Array
    reason: pa.Array  # the first rule it broke
    detail: pa.Array  # the figure that decided, and what was wanted
    broken: pa.Array  # every rule it broke, `step.reason`; list of strings


def judged(rules: Sequence[tuple[str, Rule | Choice]], num_docs: int) -> Judged:
    """Apply rules, each with the name of the step it belongs to, to `num_docs` documents."""
    first = np.full(num_docs, -1)
    broken_rows, broken_by = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for number, (_, rule) in enumerate(rules):
        rows = np.flatnonzero(rule.is_broken)
        first[rows] = np.where(first[rows] == -1, number, first[rows])
        broken_rows.append(rows)
        broken_by.append(np.full(len(rows), number))
    detail = np.full(num_docs, None, dtype=object)
    for number, (_, rule) in enumerate(rules):
        rows = np.flatnonzero(first == number)
        detail[rows] = [f"{value}, {rule.wanted}" for value in rule.shown(rows)]
    chosen = pa.array(first, mask=first == -1)
    steps = pa.array([step for step, _ in rules], pa.string())
    reasons = pa.array([rule.reason for _, rule in rules], pa.string())
    broken = _lists(np.concatenate(broken_rows), np.concatenate(broken_by), rules=rules, num_docs=num_docs)
    return Judged(first == -1, steps.take(chosen), reasons.take(chosen), pa.array(detail, pa.string()), broken)


def numbers(figures: Mapping[str, Figure], name: str) -> npt.NDArray[np.float64]:
    """A numeric figure as float64; NaN where the ledger holds null."""
    values = figures[name]
    if isinstance(values, np.ndarray):
        return values.astype(np.float64)
    return np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False))


def ratio(figures: Mapping[str, Figure], above: str, below: str) -> npt.NDArray[np.float64]:
    """One figure over another; 0 where the lower one is 0."""
    bottom = numbers(figures, below)
    return numbers(figures, above) / np.maximum(bottom, 1) * (bottom > 0)


def _is_in(values: pa.Array, names: frozenset[str]) -> npt.NDArray[np.bool_]:
    found = pc.is_in(values, pa.array(sorted(names), values.type), skip_nulls=True)
    return np.array(found.to_numpy(zero_copy_only=False))


def _lists(
    rows: npt.NDArray[np.int64], by: npt.NDArray[np.int64], *, rules: Sequence[tuple[str, Rule | Choice]], num_docs: int
) -> pa.Array:
    names = pa.array([f"{step}.{rule.reason}" for step, rule in rules], pa.string())
    order = np.lexsort((by, rows))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=num_docs))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), names.take(pa.array(by[order])))
