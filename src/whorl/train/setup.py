"""train/setup: what a fit has opened, and the checks that it goes together before anything is computed.

Every refusal says which two things disagree, with their figures. Does not train and does not read the recipe.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from whorl.core.artifact import Artifact
from whorl.core.errors import ArtifactError, ConfigError
from whorl.core.seed import Seed
from whorl.model import checkpoint
from whorl.model.config import ModelConfig
from whorl.model.families import Family
from whorl.model.transformer import Transformer
from whorl.tokens.renderer import Renderer
from whorl.tokens.shards import TOKENIZER_FOLDER
from whorl.tokens.tokenizer import VOCABULARY_FILE, Tokenizer
from whorl.train.mix import Batches
from whorl.train.objectives import Material
from whorl.train.target_bytes import TargetBytes
from whorl.train.validate import HeldOut

__all__ = ["Feed", "Setup", "Source", "fresh_source", "loaded_source", "tokenizer_folder"]


@dataclass(frozen=True)
class Source:
    """A model to train and the family whose layout it is kept in."""

    model: Transformer
    family: str


@dataclass(frozen=True)
class Feed:
    """What a fit reads: a function of its data, its tokenizer and its seed."""

    sources: tuple[Artifact, ...]
    materials: tuple[Material, ...]  # of the part that is trained on
    tokenizer: Tokenizer
    tokenizer_folder: Path
    loader: Batches


@dataclass(frozen=True)
class Setup:
    """Everything opened for one fit."""

    source: Source
    tokenizer: Tokenizer
    tokenizer_folder: Path
    renderer: Renderer
    loader: Batches
    target_bytes: TargetBytes
    held_out: HeldOut | None

    def __post_init__(self) -> None:
        checkpoint.require_tokenizer_fit(self.source.family, self.tokenizer_folder)

    @property
    def model(self) -> Transformer:
        """The model being trained."""
        return self.source.model

    @property
    def device(self) -> torch.device:
        """Where it is trained."""
        return self.model.head_weight.device

    @property
    def num_parameters(self) -> int:
        """Trainable numbers; a tied matrix counts once."""
        return sum(parameter.numel() for parameter in self.model.parameters())


def tokenizer_folder(sources: Sequence[Artifact], start: Artifact | None) -> Path:
    """Where the tokenizer is: beside the tokens, or in the checkpoint to go on from.

    Raises ConfigError when there is neither or two differ, ArtifactError when the checkpoint has none.
    """
    folders = [_tokenizer_folder(data, start) for data in sources]
    made_with = [Tokenizer.load(folder).fingerprint for folder in folders] if len(folders) > 1 else []
    for data, fingerprint in zip(sources, made_with, strict=False):
        if fingerprint != made_with[0]:
            raise ConfigError(
                f"{data.path} was encoded with tokenizer {fingerprint[:12]}, but {sources[0].path} with {made_with[0][:12]}; "
                "encode everything that is mixed with the same tokenizer"
            )
    return folders[0]


def _tokenizer_folder(data: Artifact, start: Artifact | None) -> Path:
    beside_data = data.path / TOKENIZER_FOLDER
    if start is None:
        if not beside_data.is_dir():
            raise ConfigError(f"data of kind {data.kind} brings no tokenizer; a fresh model cannot read it: set start")
        return beside_data
    if not (start.path / VOCABULARY_FILE).is_file():
        raise ArtifactError(f"{start.path}: no {VOCABULARY_FILE}; want a checkpoint folder with its tokenizer")
    if beside_data.is_dir():
        of_data, of_start = Tokenizer.load(beside_data), Tokenizer.load(start.path)
        if of_data.fingerprint != of_start.fingerprint:
            raise ConfigError(
                f"the data was encoded with tokenizer {of_data.fingerprint[:12]} ({of_data.size} ids), but the model in start "
                f"reads {of_start.fingerprint[:12]} ({of_start.size} ids); encode the corpus with the model's tokenizer"
            )
    return start.path


def fresh_source(family: Family, *, vocab_size: int, max_positions: int, seed: Seed, device: str) -> Source:
    """A newly drawn model."""
    return Source(Transformer.fresh(family.configure(vocab_size, max_positions), seed, device=device), family.use)


def loaded_source(folder: Path, *, tokenizer: Tokenizer, width: int, device: str) -> Source:
    """The model of a checkpoint, with float32 weights. Raises ConfigError when rows or ids do not fit it."""
    _check_fits(checkpoint.load_config(folder)[1], tokenizer, width=width)
    loaded = checkpoint.load(folder, dtype=torch.float32, device=device)
    return Source(loaded.model, loaded.family)


def _check_fits(config: ModelConfig, tokenizer: Tokenizer, *, width: int) -> None:
    if width > config.max_positions:
        raise ConfigError(f"width={width}, but the model in start has {config.max_positions} positions; want no more")
    if tokenizer.size > config.vocab_size:
        raise ConfigError(
            f"the tokenizer has {tokenizer.size} ids, but the model in start tells only {config.vocab_size} apart"
        )
