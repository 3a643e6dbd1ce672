"""train/objectives: the door of objectives: what a model is trained to do with some rows, and which data it reads.

An objective gives the loss *summed* over targets; the loop divides by the number of targets of the whole step.

To add one, write a file here with one class deriving from Objective, and its test.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from whorl.core.config import Member, Part
from whorl.core.seed import Seed
from whorl.model.transformer import Transformer
from whorl.tokens.loader import Loader
from whorl.tokens.row_stream import OnLong
from whorl.tokens.sequences import Sequences
from whorl.tokens.tokenizer import Tokenizer
from whorl.train.data import Rows

__all__ = ["Material", "Objective", "OnLong"]


@dataclass(frozen=True)
class Material:
    """One part of the data: sequences of ids, and the bytes of UTF-8 text that carry loss in each."""

    sequences: Sequences
    num_bytes: Callable[[int], int]
    on_long: OnLong

    def loader(self, *, rows: int, width: int, seed: Seed) -> Loader:
        """Batches of these sequences. Raises DataError when none can be read, or one is too long and may not be."""
        return Loader(self.sequences, rows=rows, width=width, seed=seed, on_long=self.on_long)


class Objective(Member, is_door=True):
    """What is trained."""

    reads: ClassVar[str]  # kind of artifact

    @abstractmethod
    def material(self, folder: Path, part: Part, tokenizer: Tokenizer) -> Material:
        """The sequences of one part of a finished artifact of the kind it reads."""

    @abstractmethod
    def loss(self, model: Transformer, rows: Rows) -> Float[Tensor, ""]:
        """Loss summed over the rows' targets, float32. Padding and weight 0 add nothing."""
