"""corpus/dedup: which documents are copies of one another. A door.

Signing is a map step (per document, kept per shard); linking is the global step over signatures. Links do not depend on the
order of documents. Which copy is kept is the stage's rule, not the member's.

To add one, write a file here with one class deriving from Dedup (`sign` and `links`), and its test.
"""

from abc import abstractmethod

import numpy as np
import numpy.typing as npt

from whorl.core.config import Member
from whorl.text.batch import TextBatch

__all__ = ["Dedup"]


class Dedup(Member, is_door=True):
    """One meaning of "the same document"."""

    @abstractmethod
    def sign(self, batch: TextBatch) -> npt.NDArray[np.uint32]:
        """A signature per text, texts x a fixed width."""

    @abstractmethod
    def links(self, signatures: npt.NDArray[np.uint32], keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Pairs of rows (pairs x 2) that are copies. `keys` name the rows independently of their order."""
