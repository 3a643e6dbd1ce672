"""train/data: packed numpy rows as tensors on the device.

Does not pack, shuffle or fetch ahead: that is tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from whorl.tokens.batch import Batch

__all__ = ["Rows", "to_rows"]


@dataclass(frozen=True)
class Rows:
    """Some rows of a batch on the device; see tokens.Batch for what the fields hold."""

    ids: Int[Tensor, "b t"]
    targets: Int[Tensor, "b t"]
    weights: Float[Tensor, "b t"]
    docs: Int[Tensor, "b t"]
    positions: Int[Tensor, "b t"]
    segments: Int[Tensor, "b t"] | None = None
    labels: Int[Tensor, "b t"] | None = None
    label_weight: float = 0.0

    def split(self, max_rows: int) -> Iterator["Rows"]:
        """The same rows in pieces of at most `max_rows`, in order."""
        for start in range(0, len(self.ids), max_rows):
            piece = slice(start, start + max_rows)
            yield Rows(
                self.ids[piece],
                self.targets[piece],
                self.weights[piece],
                self.docs[piece],
                self.positions[piece],
                None if self.segments is None else self.segments[piece],
                None if self.labels is None else self.labels[piece],
                self.label_weight,
            )


def to_rows(batch: Batch, device: torch.device) -> Rows:
    """Copy a batch to the device."""

    def moved(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(device)

    return Rows(
        moved(batch.ids),
        moved(batch.targets),
        moved(batch.weights),
        moved(batch.docs),
        moved(batch.positions),
        None if batch.segments is None else moved(batch.segments),
        None if batch.labels is None else moved(batch.labels),
        batch.label_weight,
    )
