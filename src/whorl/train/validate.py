"""train/validate: bits per byte of held-out text while training goes on.

Nats of every target that carries loss, except the marker `<|end|>`, which is no text, over ln 2 and the UTF-8 bytes that those
targets spell. Sequences are cut into rows as in training, so a cut costs context; exams slide a window instead.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from whorl.core.seed import Seed
from whorl.measure.bits import bits_per_byte
from whorl.model.transformer import Transformer
from whorl.tokens.loader import Loader, Sequences
from whorl.train.data import to_rows
from whorl.train.nats import watched_nats
from whorl.train.objectives import Material

__all__ = ["HeldOut", "held_out"]


@dataclass(frozen=True)
class HeldOut:
    """The watched text, the same at every measurement."""

    loader: Loader
    num_bytes: int
    end: int  # id of the marker that is not counted

    def bits_per_byte(self, model: Transformer) -> float:
        """Measure the model as it is now; nan when it gives nan. One pass over the watched text."""
        device = model.head_weight.device
        total = torch.zeros((), dtype=torch.float64, device=device)
        for step in range(self.loader.steps_per_epoch):
            total += watched_nats(model, to_rows(self.loader.batch(step), device), end=self.end)
        return bits_per_byte(float(total), self.num_bytes)


def held_out(material: Material, *, count: int, end: int, rows: int, width: int) -> HeldOut | None:
    """The first `count` sequences that a row (or several, where they may be cut) can hold; None when there are none."""
    lengths = np.asarray(material.sequences.lengths())
    longest = math.inf if material.on_long == "split" else width
    chosen = np.flatnonzero(lengths <= longest)[:count].tolist()
    num_bytes = sum(material.num_bytes(index) for index in chosen)
    if not num_bytes:
        return None
    few = Material(_Chosen(material.sequences, chosen), lambda index: material.num_bytes(chosen[index]), material.on_long)
    return HeldOut(few.loader(rows=rows, width=width, seed=Seed(0)), num_bytes, end)


class _Chosen:
    """Some sequences of others; see Sequences."""

    def __init__(self, sequences: Sequences, chosen: Sequence[int]) -> None:
        self._sequences = sequences
        self._chosen = chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def lengths(self) -> np.ndarray:
        return np.asarray(self._sequences.lengths())[list(self._chosen)]

    def ids(self, index: int) -> np.ndarray:
        return self._sequences.ids(self._chosen[index])

    def weights(self, index: int) -> np.ndarray:
        return self._sequences.weights(self._chosen[index])

    def name(self, index: int) -> str:
        return self._sequences.name(self._chosen[index])
