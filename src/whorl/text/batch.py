"""text/batch: a column of texts whose words and counts are computed once, whoever asks first.

Filters, signatures and overlaps of one batch share it. Does not change the texts: an edit makes another batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from whorl.text.columns import TextBuffers, text_buffers
from whorl.text.words import COUNTS, Words, split, word_hash

__all__ = ["TextBatch"]


@dataclass(frozen=True)
class TextBatch:
    """Texts of one batch, as an Arrow string column without nulls."""

    texts: pa.Array | pa.ChunkedArray

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def buffers(self) -> TextBuffers:
        """The bytes under the column."""
        return text_buffers(self.texts)

    @cached_property
    def words(self) -> Words:
        """Words, punctuation and counts."""
        return split(self.buffers)

    @cached_property
    def num_bytes(self) -> npt.NDArray[np.int64]:
        """UTF-8 length of each text."""
        return np.diff(self.buffers.offsets)

    @cached_property
    def statistics(self) -> Mapping[str, npt.NDArray[np.int64]]:
        """Every count of every text, by name; the ledger's columns."""
        counts = {name: self.words.counts[:, column] for column, name in enumerate(COUNTS)}
        return {"num_bytes": self.num_bytes, **counts}

    def ratio(self, above: str, below: str) -> npt.NDArray[np.float64]:
        """One statistic over another; 0 where the lower one is 0."""
        bottom = self.statistics[below]
        return self.statistics[above] / np.maximum(bottom, 1) * (bottom > 0)

    def distinct_hits(self, vocabulary: Sequence[str]) -> npt.NDArray[np.int64]:
        """How many different words of a vocabulary each text holds, in any case. Each entry must be one word."""
        wanted = np.unique(np.array([word_hash(word) for word in vocabulary], dtype=np.uint64))
        if not len(wanted):
            return np.zeros(len(self), dtype=np.int64)
        place = np.minimum(np.searchsorted(wanted, self.words.hashes), len(wanted) - 1)
        at = np.flatnonzero(wanted[place] == self.words.hashes)
        text = np.searchsorted(self.words.first, at, side="right") - 1
        seen = np.unique(text * len(wanted) + place[at])
        return np.bincount(seen // len(wanted), minlength=len(self))
