"""tokens/batch: one step's worth of packed rows, as numpy arrays, and the compiled loop that fills them.

Knows neither which rows a step has nor which device they go to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from whorl.core.kernels import kernel
from whorl.tokens.packing import Pieces
from whorl.tokens.sequences import Sequences

__all__ = ["Batch", "Canvas", "joined_batches"]


@dataclass(frozen=True)
class Batch:
    """Packed rows, all arrays `b t`. Documents in one row are told apart by `docs` and must never see each other.

    Where `weights` is 0, `targets` holds 0: a valid id that means nothing. Padding has id 0, document -1 and weight 0.
    """

    ids: np.ndarray  # int64
    targets: np.ndarray  # int64: the token after, in the same document
    weights: np.ndarray  # float32: the target's share in the loss; 0 for none
    docs: np.ndarray  # int32: number of the document inside the row, -1 for padding
    positions: np.ndarray  # int32: from 0 in each document
    doc_ids: tuple[tuple[str, ...], ...]  # per row: the id of document 0, 1, ...; a document cut in pieces may recur
    # What a loader never sets, but whoever prepares rows for a model that reads pairs or names classes:
    segments: np.ndarray | None = None  # int64: which part of its document a place is in; None: all in part 0
    labels: np.ndarray | None = None  # int64: at a document's first place, its class; -1 elsewhere; None: nothing is asked
    label_weight: float = 0.0  # what one label weighs in the loss, where a target of weight 1 weighs 1

    @property
    def num_targets(self) -> int:
        """How many targets carry loss: what a sum of cross-entropies is divided by."""
        return int(np.count_nonzero(self.weights))


class Canvas(NamedTuple):
    """The arrays of a Batch while they are being filled, `b t`; every row must be laid once."""

    ids: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    docs: np.ndarray
    positions: np.ndarray

    @classmethod
    def bare(cls, rows: int, width: int) -> "Canvas":
        """Rows that hold anything at all until they are laid."""
        shape = (rows, width)
        return cls(
            np.empty(shape, np.int64),
            np.empty(shape, np.int64),
            np.empty(shape, np.float32),
            np.empty(shape, np.int32),
            np.empty(shape, np.int32),
        )

    def batch(self, doc_ids: tuple[tuple[str, ...], ...]) -> Batch:
        """The filled arrays, with the ids of each row's documents."""
        return Batch(self.ids, self.targets, self.weights, self.docs, self.positions, doc_ids)

    def lay(self, sequences: Sequences, pieces: Pieces, at: np.ndarray) -> None:
        """Fill the rows `at` (int64, as many as `pieces` has rows) with pieces of these sequences, then padding."""
        source = (sequences.flat_ids, sequences.flat_weights, sequences.starts, sequences.lengths())
        _lay(self, pieces, at, source)


def joined_batches(batches: Sequence[Batch]) -> Batch:
    """The rows of several batches of a loader of one width, in order: what the ranks of a step read together."""
    whole = Canvas(*(np.concatenate([vars(one)[name] for one in batches]) for name in Canvas._fields))
    return whole.batch(tuple(row for one in batches for row in one.doc_ids))


@kernel()
def _lay(canvas, pieces: Pieces, at, source):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    for i in range(len(at)):
        row, left = at[i], 0
        for number in range(pieces.first[i], pieces.first[i + 1]):
            place = (row, left, np.int32(number - pieces.first[i]))
            left += _lay_piece(canvas, place, (pieces.document[number], pieces.start[number], pieces.length[number]), source)
        canvas.ids[row, left:] = 0
        canvas.targets[row, left:] = 0
        canvas.weights[row, left:] = 0
        canvas.docs[row, left:] = -1
        canvas.positions[row, left:] = 0


@kernel()
def _lay_piece(canvas, place, piece, source):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """One piece's places; a document's last token has no target. Returns how many places it took."""
    (row, left, number), (document, start, length) = place, piece
    flat_ids, flat_weights, starts, lengths = source
    right, first = left + length, starts[document] + start
    ids, targets, weights = canvas.ids[row, left:right], canvas.targets[row, left:right], canvas.weights[row, left:right]
    positions = canvas.positions[row, left:right]
    canvas.docs[row, left:right] = number
    num_targets = min(length, lengths[document] - start - 1)
    for i in range(length):
        ids[i] = flat_ids[first + i]
        positions[i] = i
    for i in range(num_targets):
        targets[i] = flat_ids[first + i + 1]
        weights[i] = 1
    if len(flat_weights):
        for i in range(num_targets):
            weights[i] = flat_weights[first + i + 1]
    for i in range(num_targets, length):
        targets[i] = 0
        weights[i] = 0
    return length
