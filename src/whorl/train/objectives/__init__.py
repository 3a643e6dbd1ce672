"""train/objectives: the door of objectives: what a model is trained to do with some rows, and which data it reads.

An objective gives the loss *summed* over targets; the loop divides by the number of targets of the whole step.

To add one, write a file here with one class deriving from Objective, and its test.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from whorl.core.config import Member, Part
from whorl.core.errors import ConfigError
from whorl.core.seed import Seed
from whorl.model.config import ModelConfig
from whorl.model.transformer import Transformer
from whorl.tokens.batch import Batch
from whorl.tokens.loader import Loader
from whorl.tokens.row_stream import OnLong
from whorl.tokens.sequences import Sequences, text_sequences
from whorl.tokens.shards import TokenShards
from whorl.tokens.tokenizer import Tokenizer
from whorl.train.data import Rows
from whorl.train.masking import Masking, required_mask

__all__ = ["GapObjective", "Material", "Objective", "OnLong"]


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
    looks_ahead: ClassVar[bool] = False  # a place may see what comes after it: for models that are not causal

    # What is measured on held-out text. Where `prepared` hides tokens, only their bytes count: those of the prepared batch's
    # targets, not Material.num_bytes; the same ones at every measurement, and not to be compared with bits of all text.
    measure: ClassVar[str] = "bits_per_byte"

    @abstractmethod
    def material(self, folder: Path, part: Part, tokenizer: Tokenizer) -> Material:
        """The sequences of one part of a finished artifact of the kind it reads.

        Raises ConfigError when the tokenizer lacks a token that is needed.
        """

    def prepared(self, batch: Batch, rng: np.random.Generator, tokenizer: Tokenizer) -> Batch:
        """What is trained on instead of a loader's batch: a pure function of its arguments.

        `rng` is fresh for every step: made from the stage's seed and the step's number, so that any step can be had again.
        """
        del rng, tokenizer
        return batch

    def check_model(self, config: ModelConfig) -> None:
        """Raise ConfigError, before the first step, when a model of this architecture cannot be trained so."""
        if config.causal and self.looks_ahead:
            raise ConfigError(
                f"objective '{self.use}' fills gaps from both sides, but the model is causal; use a family that looks both "
                "ways (bert, modernbert), or objective next_token"
            )
        if not config.causal and not self.looks_ahead:
            raise ConfigError(
                f"objective '{self.use}' predicts the token after each place, which this model can see (causal=False); use "
                "objective masked or next_sentence, or a causal family"
            )

    @abstractmethod
    def loss(self, model: Transformer, rows: Rows) -> Float[Tensor, ""]:
        """Loss summed over the rows' targets, float32. Padding and weight 0 add nothing."""


class GapObjective(Objective):
    """Reads token shards whose vocabulary has a mask, for models that look both ways."""

    reads: ClassVar[str] = "tokens"
    looks_ahead: ClassVar[bool] = True
    measure: ClassVar[str] = "masked_bits_per_byte"

    rate: float = Field(gt=0, lt=1)  # share of a document's tokens that are hidden
    random: float = Field(default=0.1, ge=0, le=1)  # of the hidden: share that another token replaces
    keep: float = Field(default=0.1, ge=0, le=1)  # of the hidden: share that stays; the others become the mask

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if self.random + self.keep > 1:
            raise ValueError(f"random={self.random} and keep={self.keep} of what is hidden; want at most 1 together")
        return self

    @property
    def masking(self) -> Masking:
        """The shares by name."""
        return Masking(self.rate, self.random, self.keep)

    def material(self, folder: Path, part: Part, tokenizer: Tokenizer) -> Material:
        """See Objective.material. The bytes are those of all text, of which a share is hidden."""
        required_mask(tokenizer)
        shards = TokenShards.open(folder, part)
        return Material(text_sequences(shards), shards.doc_bytes, "split")
