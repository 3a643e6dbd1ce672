"""corpus/filters: which documents are kept. A door.

A filter is pure: the same document gets the same verdict in any batch, and a dropped one gets a reason.

To add one, write a file here with one class deriving from Filter (`judge`), and its test; CONTRIBUTING shows it.
"""

from abc import abstractmethod

from whorl.core.config import Member
from whorl.corpus.verdict import Verdict
from whorl.text.batch import TextBatch

__all__ = ["Filter"]


class Filter(Member, is_door=True):
    """One set of rules. Statistics are computed once per batch and shared: `batch.statistics`."""

    @abstractmethod
    def judge(self, batch: TextBatch) -> Verdict:
        """Keep or drop each text of the batch."""
