"""bench/decode_models: the two models of bench.decode as folders that every arm reads, and what they are asked.

A random LLaMA and a small trained model, both in bfloat16 and in the public layout. Questions are drawn from seeds: random ids
for the random model, pieces of text for the trained one.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.peer_scripts.decode_turns import Question
from bench.workshop import Workshop
from whorl.compress.exports import Export
from whorl.core.seed import Seed
from whorl.model.checkpoint import Storage, load, save
from whorl.model.families import Family
from whorl.model.transformer import Transformer
from whorl.tokens.shards import TokenShards

LARGE = {"use": "llama", "depth": 12, "width": 1024, "heads": 16, "kv_heads": 4, "mlp_width": 2816, "tied": False}
DEMO = {"use": "qwen3", "depth": 6, "width": 128, "heads": 2}  # recipes/demo.yaml


@dataclass(frozen=True)
class Sizes:
    """How large everything is. The defaults are the bench; `--check` has others."""

    large: dict[str, Any]
    large_vocabulary: int = 16_384
    demo_vocabulary: int = 2048
    demo_steps: int = 200  # of training, 8 rows of 256 tokens
    prompt: int = 128  # tokens, of equal streams
    answer: int = 64
    uneven: int = 32  # requests
    mean_prompt: int = 64  # of uneven ones; cut at `prompt` and 8
    mean_answer: int = 48  # cut at two and a half times as many and 4
    rows: int = 8
    rounds: int = 7

    @property
    def context(self) -> int:
        """Tokens that no question passes."""
        return self.prompt + max(self.answer, self.longest_answer)

    @property
    def longest_answer(self) -> int:
        """Of uneven requests."""
        return self.mean_answer * 5 // 2


FULL = Sizes(LARGE)
CHECK = Sizes(
    {**LARGE, "depth": 2, "width": 128, "heads": 4, "kv_heads": 2, "mlp_width": 256},
    large_vocabulary=512,
    demo_vocabulary=300,
    demo_steps=2,
    prompt=12,
    answer=6,
    uneven=11,
    mean_prompt=6,
    mean_answer=4,
    rounds=2,
)


@dataclass(frozen=True)
class Examined:
    """A model in a folder, and where its questions come from."""

    name: str
    folder: Path
    text: np.ndarray  # ids to cut prompts from

    def equal(self, sizes: Sizes, *, rows: int, number: int) -> Question:
        """So many streams of one length, all at once: one, or `sizes.rows`. Other prompts for every number from -1 on."""
        assert rows in (1, sizes.rows), f"{rows} rows: only 1 and {sizes.rows} have prompts of their own"
        prompts = self._pieces(sizes, number, first=0 if rows == 1 else 1, lengths=[sizes.prompt] * rows)
        return Question(prompts, [sizes.answer] * rows, rows)

    def uneven(self, sizes: Sizes, *, number: int) -> Question:
        """Requests whose lengths are as unlike as the gaps of a Poisson process; the same lengths in every round."""
        draws = Seed(1).child("uneven").generator()
        lengths = draws.exponential(sizes.mean_prompt, sizes.uneven).astype(int).clip(min(8, sizes.prompt), sizes.prompt)
        counts = draws.exponential(sizes.mean_answer, sizes.uneven).astype(int).clip(4, sizes.longest_answer)
        prompts = self._pieces(sizes, number, first=1 + sizes.rows, lengths=lengths.tolist())
        return Question(prompts, counts.tolist(), sizes.rows)

    def _pieces(self, sizes: Sizes, number: int, *, first: int, lengths: list[int]) -> list[list[int]]:
        """Pieces of the text, from places of which no two are the same in a whole run: nothing is found that was computed."""
        places = Seed(1).child("places").generator().permutation(len(self.text) - sizes.prompt)
        begin = (number + 1) * (1 + sizes.rows + sizes.uneven) + first
        chosen = places[begin : begin + len(lengths)].tolist()
        assert len(chosen) == len(lengths), f"a text of {len(self.text)} ids is too short for so many rounds"
        return [self.text[place : place + length].tolist() for place, length in zip(chosen, lengths, strict=True)]


def documents(folder: Path, sizes: Sizes) -> Workshop:
    """Docstrings of this Python, a vocabulary learnt from them, and their ids: `vocab` and `ids` of a workshop."""
    shop = Workshop(folder)
    shop.run("pages", use="corpus.collect", sources=[{"use": "python_docs"}])
    shop.run("clean", use="corpus.refine", **{"from": "pages"})
    shop.run("vocab", use="tokens.learn", **{"from": "clean"}, size=sizes.demo_vocabulary)
    shop.run("ids", use="tokens.encode", **{"from": "clean"}, tokenizer="vocab")
    return shop


def large(folder: Path, sizes: Sizes, *, vocabulary: Path | None = None) -> Examined:
    """The random LLaMA. Its blocks do not begin as the identity, or tokens would repeat themselves; most ids spell nothing."""
    family = Family.model_validate({**sizes.large, "zero_outputs": False})
    model = Transformer.fresh(family.configure(sizes.large_vocabulary, sizes.context), Seed(1))
    save(folder, model, family="llama", tokenizer_folder=vocabulary, storage=Storage(dtype=torch.bfloat16))
    return Examined("large", folder, Seed(2).generator().integers(0, sizes.large_vocabulary, 1 << 16))


def demo(folder: Path, sizes: Sizes, shop: Workshop) -> Examined:
    """The demo's base model after some seconds of training."""
    fit = {"data": "ids", "model": DEMO, "objective": {"use": "next_token"}, "watch": None}
    shop.run("base", use="train.fit", **fit, length=f"{sizes.demo_steps} steps", rows=8, width=256)
    made = shop.root / "base"
    model = load(made, dtype=torch.bfloat16).model
    save(folder, model, family="qwen3", tokenizer_folder=made, storage=Storage(dtype=torch.bfloat16))
    return Examined("demo", folder, np.asarray(TokenShards.open(shop.root / "ids", "train").ids))


def exported(model: Examined, folder: Path) -> Path:
    """The same weights for llama.cpp, in bfloat16, by our own exporter."""
    folder.mkdir()
    Export.model_validate({"use": "gguf", "dtype": "bf16", "name": model.name}).write(model.folder, folder)
    return folder / f"{model.name}-bf16.gguf"
