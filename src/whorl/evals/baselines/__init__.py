"""evals/baselines: the door of predictors of text that are no neural network, fitted on the same training documents.

To add one, write a file here with one class deriving from Baseline, and its test.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from whorl.core.config import Member

__all__ = ["Baseline", "Cost"]


class Cost(NamedTuple):
    """What a text costs under a baseline."""

    total_bits: float
    document_bits: np.ndarray | None  # float64, one per document; None when documents have no cost of their own


class Baseline(Member, is_door=True):
    """How many bits some documents cost after others were seen. Pure."""

    definition: ClassVar[str]  # one sentence for the report

    @abstractmethod
    def cost(self, train: Sequence[bytes], scored: Sequence[bytes]) -> Cost:
        """Bits for the bytes of `scored` (UTF-8 documents) given all of `train`."""
