"""text/batch: a column of texts whose words, lines and counts are computed once, whoever asks first.

Filters, signatures and overlaps of one batch share it. Does not change the texts: an edit makes another batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from whorl.text.columns import TextBuffers, text_buffers
from whorl.text.lines import Lines, split_lines
from whorl.text.repetition import LINE_REPETITION, NGRAM_REPETITION, line_repetition, ngram_repetition
from whorl.text.statistics import LINE_COUNTS, Statistics, line_counts
from whorl.text.vocabulary import distinct_hits
from whorl.text.words import COUNTS, Words, split

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
    def lines(self) -> Lines:
        """Lines, with what is asked of each."""
        return split_lines(self.buffers)

    @cached_property
    def statistics(self) -> Statistics:
        """Every count of every text, by name. Lines and repetition are looked at when one of their names is asked for."""
        return Statistics(
            [
                (("num_bytes",), lambda: self.num_bytes[:, None]),
                (COUNTS, lambda: self.words.counts),
                (LINE_COUNTS, lambda: line_counts(self.lines, self.buffers.offsets)),
                (LINE_REPETITION, lambda: line_repetition(self.lines)),
                (NGRAM_REPETITION, lambda: ngram_repetition(self.words)),
            ]
        )

    def ratio(self, above: str, below: str) -> npt.NDArray[np.float64]:
        """One statistic over another; 0 where the lower one is 0."""
        bottom = self.statistics[below]
        return self.statistics[above] / np.maximum(bottom, 1) * (bottom > 0)

    def distinct_hits(self, vocabulary: Sequence[str]) -> npt.NDArray[np.int64]:
        """How many different words of a vocabulary each text holds, in any case. Each entry must be one word."""
        return distinct_hits(self.words, vocabulary)
