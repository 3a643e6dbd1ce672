"""tokens/row_stream: the packed rows of one source, epoch after epoch: row number -> pieces of documents.

A pure function of the seed: any row can be asked for first, and which rows hold a document is told without looking at others.
Does not know steps, other sources or ranks.
"""

from itertools import pairwise
from typing import Final, Literal

import numpy as np

from whorl.core.errors import DataError
from whorl.core.seed import Seed
from whorl.tokens.packing import Pieces, Plan
from whorl.tokens.sequences import Sequences

__all__ = ["OnLong", "RowStream"]

OnLong = Literal["split", "fail", "skip"]  # what happens to a sequence longer than a row


class RowStream:
    """Row k is row `k % num_rows` of epoch `k // num_rows`. Every epoch reads every target exactly once."""

    def __init__(self, sequences: Sequences, *, width: int, seed: Seed, on_long: OnLong = "split") -> None:
        """Packs once. Raises DataError when nothing is left to read or, under `fail`, when a sequence is too long."""
        lengths = sequences.lengths()
        is_too_long = np.zeros(len(lengths), dtype=bool) if on_long == "split" else lengths > width
        self.too_long: Final = int(is_too_long.sum())  # sequences left out of every epoch
        if self.too_long and on_long == "fail":
            raise _too_long(sequences, width)
        self.num_tokens: Final = int(lengths[~is_too_long].sum()) if self.too_long else int(lengths.sum())  # in an epoch
        if not self.num_tokens:
            raise DataError(f"nothing to read: {len(lengths)} sequences, {self.too_long} of them longer than width={width}")
        self.sequences: Final = sequences
        self._plan = Plan(np.where(is_too_long, 0, lengths) if self.too_long else lengths, width)
        self._seed = seed

    @property
    def width(self) -> int:
        """Tokens of a row."""
        return self._plan.width

    @property
    def num_rows(self) -> int:
        """Rows in every epoch."""
        return self._plan.num_rows

    def pieces(self, numbers: np.ndarray) -> Pieces:
        """The pieces of some rows (int64), which may lie in different epochs."""
        epochs, places = np.divmod(numbers, self.num_rows)
        drawn = {epoch: self._key(epoch) for epoch in set(epochs.tolist())}
        return self._plan.pieces(places, np.array([drawn[epoch] for epoch in epochs.tolist()], np.uint64))

    def names(self, pieces: Pieces) -> tuple[tuple[str, ...], ...]:
        """Per row, the ids of the documents its pieces are of."""
        names, bounds = self.sequences.names(pieces.document), pieces.first.tolist()
        return tuple(tuple(names[left:right]) for left, right in pairwise(bounds))

    def rows_of(self, document: int, epoch: int) -> np.ndarray:
        """The rows of an epoch that hold some of a document, ascending, counted from the epoch's first row."""
        return self._plan.places_of(document, self._key(epoch))

    def _key(self, epoch: int) -> int:
        return self._seed.child(f"epoch-{epoch}").number


def _too_long(sequences: Sequences, width: int) -> DataError:
    lengths = sequences.lengths()
    longest = int(lengths.argmax())
    return DataError(
        f"{int((lengths > width).sum())} of {len(lengths)} sequences do not fit a row of width={width}; the longest, "
        f"{sequences.name(longest)}, has {int(lengths[longest])} tokens; raise width, or skip them with on_long: skip"
    )
