"""train/data: packed numpy rows as tensors, fetched one step ahead of the computation.

Does not pack or shuffle: batches come from a pure function of the step, so fetching ahead changes nothing but the wait.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from whorl.tokens.batch import Batch

__all__ = ["Rows", "ahead", "to_rows"]


@dataclass(frozen=True)
class Rows:
    """Some rows of a batch on the device; see tokens.Batch for what the fields hold."""

    ids: Int[Tensor, "b t"]
    targets: Int[Tensor, "b t"]
    weights: Float[Tensor, "b t"]
    docs: Int[Tensor, "b t"]
    positions: Int[Tensor, "b t"]

    def split(self, max_rows: int) -> Iterator["Rows"]:
        """The same rows in pieces of at most `max_rows`, in order."""
        for start in range(0, len(self.ids), max_rows):
            piece = slice(start, start + max_rows)
            yield Rows(self.ids[piece], self.targets[piece], self.weights[piece], self.docs[piece], self.positions[piece])


def to_rows(batch: Batch, device: torch.device) -> Rows:
    """Copy a batch to the device."""

    def moved(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(device)

    return Rows(moved(batch.ids), moved(batch.targets), moved(batch.weights), moved(batch.docs), moved(batch.positions))


def ahead(batch_of: Callable[[int], Batch], first: int, stop: int) -> Iterator[Batch]:
    """`batch_of(first)` to `batch_of(stop - 1)`; a thread makes the next one while this one is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
        pending = pool.submit(batch_of, first) if first < stop else None
        for step in range(first, stop):
            assert pending is not None, "a batch is pending until the last one is handed over"
            batch = pending.result()
            pending = pool.submit(batch_of, step + 1) if step + 1 < stop else None
            yield batch
