"""train/validate: bits per byte of held-out text while training goes on.

Nats of every target that carries loss, except the marker `<|end|>`, which is no text, over ln 2 and the UTF-8 bytes that those
targets spell. Sequences are cut into rows as in training, so a cut costs context; exams slide a window instead. Where the
objective hides tokens, the same ones are hidden at every look and only their bytes count.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field

from whorl.core.config import Config
from whorl.core.seed import Seed
from whorl.measure.bits import bits_per_byte
from whorl.model.transformer import Transformer
from whorl.tokens.batch import Batch
from whorl.tokens.loader import Loader
from whorl.tokens.sequences import joined_sequences
from whorl.train.data import to_rows
from whorl.train.nats import watched_nats
from whorl.train.objectives import Material

__all__ = ["HeldOut", "Hiding", "Watch", "held_out"]


class Watch(Config):
    """How often bits per byte of held-out text are measured, and on how much of it."""

    every: int = Field(default=200, ge=1)  # steps; the first and the last step are always measured
    documents: int = Field(default=64, ge=1)  # the first of the part `held_out`


@dataclass(frozen=True)
class Hiding:
    """How an objective hides tokens, and how many bytes of text the hidden ones spell."""

    prepared: Callable[[Batch, np.random.Generator], Batch]
    bytes_of: Callable[[Batch], float]


@dataclass(frozen=True)
class HeldOut:
    """The watched text, the same at every measurement."""

    loader: Loader
    num_bytes: float
    end: int  # id of the marker that is not counted
    hiding: Hiding | None = None

    def bits_per_byte(self, model: Transformer) -> float:
        """Measure the model as it is now, without dropout; nan when it gives nan. One pass over the watched text."""
        device, was_training = model.head_weight.device, model.training
        total = torch.zeros((), dtype=torch.float64, device=device)
        model.eval()
        for step in range(self.loader.steps_per_epoch):
            total += watched_nats(model, to_rows(_watched(self.loader, step, self.hiding), device), end=self.end)
        model.train(was_training)
        return bits_per_byte(float(total), self.num_bytes)


def held_out(*materials: Material, count: int, end: int, rows: int, width: int, hiding: Hiding | None = None) -> HeldOut | None:
    """The first `count` sequences that a row (or several, where they may be cut) can hold; None when there are none.

    Of several sources, equally many of each, so that every one is watched.
    """
    chosen = [_fitting(material, -(-count // len(materials)), width) for material in materials]
    if not any(chosen):
        return None
    parts = [material.sequences.chosen(few) for material, few in zip(materials, chosen, strict=True)]
    loader = Loader(parts[0] if len(parts) == 1 else joined_sequences(parts), rows=rows, width=width, seed=Seed(0))
    if hiding is None:
        num_bytes = float(sum(one.num_bytes(index) for one, few in zip(materials, chosen, strict=True) for index in few))
    else:
        num_bytes = sum(hiding.bytes_of(_watched(loader, step, hiding)) for step in range(loader.steps_per_epoch))
    return HeldOut(loader, num_bytes, end, hiding) if num_bytes else None


def _watched(loader: Loader, step: int, hiding: Hiding | None) -> Batch:
    batch = loader.batch(step)
    return batch if hiding is None else hiding.prepared(batch, Seed(0).child(f"step-{step}").generator())


def _fitting(material: Material, count: int, width: int) -> list[int]:
    longest = math.inf if material.on_long == "split" else width
    few: list[int] = np.flatnonzero(material.sequences.lengths() <= longest)[:count].tolist()
    return few
