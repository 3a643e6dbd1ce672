"""measure/metrics: the door of text metrics: one file each, an answer judged against references.

To add one, write a file here with one class deriving from Metric, and its test.
"""

from abc import abstractmethod
from collections.abc import Sequence

from whorl.core.config import Member

__all__ = ["Metric"]


class Metric(Member, is_door=True):
    """How good one text is, given the texts it could have been. Pure; higher is better."""

    @abstractmethod
    def score(self, answer: str, references: Sequence[str]) -> float:
        """Between 0 and 1: the best over all references."""
