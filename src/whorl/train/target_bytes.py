"""train/target_bytes: how many bytes of text a step's targets spell, so that its loss can be told in bits per byte.

Exact for vocabularies that keep every byte of a text; for others the mean of the corpus, and said so. The loss of markers
(`<|end|>`) is in a step's nats though they spell nothing, so the training figure lies a little above what the same model gets
on held-out text, where markers are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from whorl.tokens.batch import Batch
from whorl.tokens.text_bytes import TextBytes
from whorl.tokens.tokenizer import Tokenizer
from whorl.train.objectives import Material

__all__ = ["TargetBytes"]

_LOOKED_AT = 1000  # sequences, for the mean


@dataclass(frozen=True)
class TargetBytes:
    """Bytes of each id, or the mean over some text of the data."""

    of_id: np.ndarray | None  # int64, by id; None: an id spells different bytes in different places
    mean: float  # bytes per target that carries loss

    @classmethod
    def open(cls, tokenizer: Tokenizer, materials: Sequence[Material]) -> Self:
        """For the data of one run; looks at its first sequences only where the vocabulary does not tell."""
        of_id = TextBytes(tokenizer).by_id
        return cls(of_id, 0.0 if of_id is not None else _mean(materials))

    @property
    def mode(self) -> Literal["exact", "corpus mean"]:
        """How the figures come about."""
        return "corpus mean" if self.of_id is None else "exact"

    def of(self, batch: Batch) -> float:
        """Bytes of UTF-8 text of the batch's targets that carry loss."""
        if self.of_id is None:
            return self.mean * batch.num_targets
        return float(self.of_id[batch.targets[batch.weights != 0]].sum())


def _mean(materials: Sequence[Material]) -> float:
    num_bytes = num_targets = 0
    for material in materials:
        for index in range(min(len(material.sequences), _LOOKED_AT)):
            num_bytes += material.num_bytes(index)
            num_targets += int(np.count_nonzero(material.sequences.weights(index)[1:]))
    return num_bytes / max(1, num_targets)
