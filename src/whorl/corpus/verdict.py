"""corpus/verdict: what a filter says about a batch: for every document keep, or the first rule it broke and by how much.

Columns of codes and figures; words are made of them only for the ledger rows of dropped documents.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Rule", "Verdict", "judged_by"]

KEEP = 0


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


class Verdict(NamedTuple):
    """Code 0 keeps a document; code i drops it for `reasons[i - 1]`, whose figure is in `values`."""

    codes: npt.NDArray[np.uint8]
    reasons: tuple[str, ...]
    wanted: tuple[str, ...]  # by reason
    values: npt.NDArray[np.float64]  # NaN where kept

    @property
    def is_kept(self) -> npt.NDArray[np.bool_]:
        """Which documents stay."""
        return np.asarray(self.codes == KEEP)

    def reason(self, row: int) -> str:
        """Why a document is dropped."""
        return self.reasons[int(self.codes[row]) - 1]

    def detail(self, row: int) -> str:
        """The figure that decided, and what was wanted."""
        return f"{self.values[row]:.4g}, {self.wanted[int(self.codes[row]) - 1]}"


def judged_by(rules: Sequence[Rule], num_docs: int) -> Verdict:
    """The verdict of several rules: a document is dropped for the first one it breaks."""
    codes = np.zeros(num_docs, dtype=np.uint8)
    values = np.full(num_docs, np.nan)
    for code, rule in enumerate(rules, start=1):
        is_broken = (codes == KEEP) & ~((rule.values >= rule.at_least) & (rule.values <= rule.at_most))
        codes[is_broken] = code
        values[is_broken] = rule.values[is_broken]
    return Verdict(codes, tuple(rule.reason for rule in rules), tuple(rule.wanted for rule in rules), values)
