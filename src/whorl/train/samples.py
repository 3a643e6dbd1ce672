"""train/samples: what the model says to fixed prompts while it trains, in words a person can read.

Decoded by the one engine with the weights as they stand. Draws nothing from torch's generator and leaves no trace in the run,
so a run with samples trains the same weights as one without. Does not judge what is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from pydantic import Field

from whorl.core.config import Config
from whorl.core.errors import ConfigError
from whorl.core.records import Message
from whorl.infer.engine import Engine, Sampling
from whorl.infer.setup import Setup
from whorl.model.config import ModelConfig
from whorl.model.transformer import Transformer
from whorl.tokens.renderer import Renderer

__all__ = ["Sample", "Sampler", "Samples"]

_AT_ONCE = 1024  # tokens of the prompts read in one step


class Sample(NamedTuple):
    """A prompt and how the model went on."""

    prompt: str
    text: str


class Samples(Config):
    """Prompts that the model is asked at every look at the held-out text."""

    prompts: tuple[str, ...] = Field(min_length=1)
    tokens: int = Field(default=32, ge=1)  # of each answer at most
    temperature: float = Field(default=0.0, ge=0, allow_inf_nan=False)  # 0: the most likely token
    seed: int = 0  # of the draws, the same at every look

    def open(self, config: ModelConfig, renderer: Renderer, *, reads: str) -> "Sampler":
        """The prompts as ids: of a dialogue where the objective `reads` dialogues, else as the beginning of a document.

        Raises ConfigError for a model that cannot go on with a text, or a prompt that leaves no room for the answer.
        """
        if not config.causal:
            raise ConfigError("samples: this model reads a text from both sides and cannot go on with one; leave samples out")
        ids = [_prompt(prompt, renderer, reads=reads) for prompt in self.prompts]
        for prompt, found in zip(self.prompts, ids, strict=True):
            if len(found) + self.tokens > config.max_positions:
                raise ConfigError(
                    f"samples: '{prompt[:40]}' is {len(found)} tokens, and with tokens={self.tokens} more than the model's "
                    f"{config.max_positions} positions; shorten it, or ask for fewer tokens"
                )
        sampling = Sampling(self.tokens, self.temperature, seed=self.seed)
        return Sampler(self.prompts, tuple(map(tuple, ids)), sampling, renderer)


@dataclass(frozen=True)
class Sampler:
    """Encoded prompts, ready to be asked as often as wanted."""

    prompts: tuple[str, ...]
    ids: tuple[tuple[int, ...], ...]
    sampling: Sampling
    renderer: Renderer

    def draw(self, model: Transformer) -> list[Sample]:
        """Ask the model as it is now. Without dropout, and not through compiled blocks: every length would compile anew."""
        setup = Setup(rows=len(self.ids), step_tokens=_AT_ONCE)  # room for these prompts: training has a use for the rest
        engine = Engine(model, stop_ids=self.renderer.stop_ids, pad_id=self.renderer.tokenizer.pad, setup=setup)
        was_training = model.training
        model.eval()
        try:
            with torch.compiler.set_stance("force_eager"):
                said = engine.generate(self.ids, self.sampling)
        finally:
            model.train(was_training)
        texts = [self._text(one.ids) for one in said]
        return [Sample(prompt, text) for prompt, text in zip(self.prompts, texts, strict=True)]

    def _text(self, ids: Sequence[int]) -> str:
        stop_ids = self.renderer.stop_ids
        return self.renderer.tokenizer.decode([token for token in ids if token not in stop_ids])


def _prompt(text: str, renderer: Renderer, *, reads: str) -> list[int]:
    if reads == "dialogues":
        return renderer.prompt([Message("user", text)])
    return [renderer.tokenizer.bos, *renderer.tokenizer.encode(text)]
