"""tokens/batch: one step's worth of packed rows, as numpy arrays.

Knows neither where rows come from nor which device they go to.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["Batch"]


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

    @property
    def num_targets(self) -> int:
        """How many targets carry loss: what a sum of cross-entropies is divided by."""
        return int(np.count_nonzero(self.weights))
