"""train/validate: bits per byte of held-out text while training goes on.

Nats of every target that carries loss, except the marker `<|end|>`, which is no text, over ln 2 and the UTF-8 bytes that those
targets spell. Sequences are cut into rows as in training, so a cut costs context; exams slide a window instead.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from whorl.core.seed import Seed
from whorl.measure.bits import bits_per_byte
from whorl.model.transformer import Transformer
from whorl.tokens.loader import Loader
from whorl.tokens.sequences import joined_sequences
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


def held_out(*materials: Material, count: int, end: int, rows: int, width: int) -> HeldOut | None:
    """The first `count` sequences that a row (or several, where they may be cut) can hold; None when there are none.

    Of several sources, equally many of each, so that every one is watched.
    """
    chosen = [_fitting(material, -(-count // len(materials)), width) for material in materials]
    num_bytes = sum(material.num_bytes(index) for material, few in zip(materials, chosen, strict=True) for index in few)
    if not num_bytes:
        return None
    parts = [material.sequences.chosen(few) for material, few in zip(materials, chosen, strict=True)]
    sequences = parts[0] if len(parts) == 1 else joined_sequences(parts)
    return HeldOut(Loader(sequences, rows=rows, width=width, seed=Seed(0)), num_bytes, end)


def _fitting(material: Material, count: int, width: int) -> list[int]:
    longest = math.inf if material.on_long == "split" else width
    few: list[int] = np.flatnonzero(material.sequences.lengths() <= longest)[:count].tolist()
    return few
