"""corpus/filters: which documents are kept. A door.

A filter measures figures and holds them against thresholds, in two verbs that do not know each other: `figures` reads the
documents, `rules` reads figures. The figures go to the ledger, so thresholds can be changed and applied again without the
texts. A filter is pure: the same document gets the same verdict in any batch, and a dropped one gets a reason.

To add one, write a file here with one class deriving from Filter (`measures`, `figures`, `rules`), and its test; CONTRIBUTING
shows it.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from whorl.core.canonical import plain
from whorl.core.config import Member
from whorl.corpus.document_batch import DocumentBatch
from whorl.corpus.verdict import Choice, Figure, Judged, Rule, judged

__all__ = ["Filter"]


class Filter(Member, is_door=True):
    """One set of rules. Statistics are computed once per batch and shared: `batch.texts.statistics`."""

    measures: ClassVar[tuple[str, ...]] = ()  # fields that `figures` reads; every other field is a threshold

    @abstractmethod
    def figures(self, batch: DocumentBatch) -> Mapping[str, Figure]:
        """What the rules look at, one entry per document. Figures of this filter alone are called `<use>.<figure>`."""

    @abstractmethod
    def rules(self, figures: Mapping[str, Figure]) -> Sequence[Rule | Choice]:
        """The figures held against the thresholds, in the order in which a document is judged."""

    def raw_inputs(self, root: Path) -> Mapping[str, str]:
        """Content hashes of files the filter reads, by field; part of the identity of what is made with it."""
        del root
        return {}

    def measuring(self) -> Self:
        """This filter with nothing but the fields that measure: reading a threshold from it is an AttributeError.

        What is measured once serves every setting of the thresholds, and this makes sure of it.
        """
        bare = self.model_copy()
        object.__setattr__(bare, "__dict__", {name: getattr(self, name) for name in self.measures})
        return bare

    def measured_by(self) -> dict[str, Any]:
        """The part of the config that figures depend on, as plain values: the key under which they are kept."""
        return {"use": self.use, **{name: plain(getattr(self, name), hashed_only=True) for name in self.measures}}

    def judge(self, batch: DocumentBatch) -> Judged:
        """Measure and judge at once."""
        rules = self.rules(self.measuring().figures(batch))
        return judged([(self.use, rule) for rule in rules], len(batch))
