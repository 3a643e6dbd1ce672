"""bench/oracle_models: a small trained model of every causal family, as checkpoints, and prompts to ask them.

Trained a little on docstrings of the standard library, so that what they say is decided by learnt weights: the greedy text of
random ones is a matter of chance, and rich in ties. What a family has of its own (windows, stretched positions, experts) is
switched on and short enough to matter within an answer.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.workshop import Workshop
from whorl.core.seed import Seed
from whorl.model import checkpoint
from whorl.model.config import ModelConfig
from whorl.model.families import Family
from whorl.model.transformer import Transformer
from whorl.tokens.shards import TokenShards
from whorl.tokens.tokenizer import VOCABULARY_FILE, Tokenizer

__all__ = ["FAMILIES", "LONGEST_PROMPT", "POSITIONS", "Trained", "ground", "prompts_from", "trained", "unwindowed"]

VOCABULARY, WIDTH, ROWS = 512, 128, 16
LONGEST_PROMPT, POSITIONS = 64, 512
SHAPE = {"depth": 3, "width": 64, "heads": 4, "kv_heads": 2, "head_dim": 16, "mlp_width": 192}
CHOSEN = {"experts": 6, "experts_per_token": 2, "expert_width": 64}
FAMILIES: Mapping[str, Mapping[str, Any]] = {
    "llama": {"rope_scaling": {"kind": "llama3", "factor": 4.0, "original_positions": 128}},
    "gpt2": {},
    "mistral": {"window": 48},
    "qwen2": {"window": 64, "full_layers": 1},
    "qwen3": {"head_dim": 32, "rope_scaling": {"kind": "yarn", "factor": 4.0, "original_positions": 128}},
    "olmo2": {},
    "mixtral": {"experts": 4, "tied": False},
    "qwen2_moe": CHOSEN,
    "qwen3_moe": {**CHOSEN, "tied": False},
    "dots1": {**CHOSEN, "kv_heads": 4, "dense_layers": 1},
}


class Trained(NamedTuple):
    """A model that has learnt something."""

    folder: Path  # a checkpoint with its tokenizer
    prompts: tuple[tuple[int, ...], ...]
    loss: float  # nats a token at the last step; log(512) = 6.24 knows nothing


def ground(root: Path) -> Workshop:
    """Text, vocabularies and ids for all families."""
    shop = Workshop(root)
    shop.run("raw", use="corpus.collect", sources=[{"use": "python_docs"}])
    shop.run("pages", use="corpus.refine", **{"from": "raw"})
    shop.run("vocab", use="tokens.learn", size=VOCABULARY, **{"from": "pages"})
    shop.run("ids", use="tokens.encode", tokenizer="vocab", **{"from": "pages"})
    shop.adopt("published", _as_published(root / "vocab", root / "published"), "tokenizer")
    shop.run("ids_published", use="tokens.encode", tokenizer="published", **{"from": "pages"})
    return shop


def trained(shop: Workshop, family: str, *, steps: int, num_prompts: int) -> Trained:
    """Train a family's model; deterministic for one machine kind."""
    ids = "ids_published" if family == "qwen2" else "ids"
    counts = shop.run(family, **_recipe(family, ids, steps))
    prompts = prompts_from(TokenShards.open(shop.root / ids, "held_out"), num_prompts)
    return Trained(shop.root / family, prompts, float(counts["loss"]))


def prompts_from(shards: TokenShards, count: int) -> tuple[tuple[int, ...], ...]:
    """The first 8 to 64 ids of held-out documents; the same ones on every machine with the same text."""
    draw = Seed(11).child("prompts").generator()
    places = np.flatnonzero(shards.lengths > LONGEST_PROMPT)
    assert len(places) >= count, f"{len(places)} held-out documents of more than {LONGEST_PROMPT} tokens, want {count}"
    chosen = draw.choice(places, size=count, replace=False)
    sizes = draw.integers(8, LONGEST_PROMPT + 1, size=count)
    starts = shards.starts[chosen]
    return tuple(
        tuple(int(token) for token in shards.ids[start : start + size]) for start, size in zip(starts, sizes, strict=True)
    )


def unwindowed(folder: Path, target: Path) -> Path:
    """The same weights and tokenizer, seeing everything: what llama.cpp can run of a model with windows. Others as they are."""
    loaded = checkpoint.load(folder)
    if not loaded.config.windows:
        return folder
    config = ModelConfig.model_validate({**dict(loaded.config), "windows": ()})
    model = Transformer.blank(config, dtype=loaded.model.compute_dtype, device="cpu")
    model.load_state_dict(loaded.model.state_dict())
    checkpoint.save(target, model, family=loaded.family)
    Tokenizer.load(folder).save(target)
    return target


def _recipe(family: str, ids: str, steps: int) -> dict[str, Any]:
    known = Family.find(family, frozenset()).model_fields
    dials = {name: value for name, value in {**SHAPE, **FAMILIES[family]}.items() if name in known}
    return {
        "use": "train.fit",
        "model": {"use": family, **dials},
        "data": ids,
        "objective": {"use": "next_token"},
        "length": f"{steps} steps",
        "rows": ROWS,
        "width": WIDTH,
        "max_positions": POSITIONS,
        "dtype": "fp32",
        "compile": False,
        "threads": 1,  # so that learnt weights do not depend on how many cores there are
        "watch": None,
        "save_every": 1e9,
    }


def _as_published(folder: Path, target: Path) -> Path:
    """The vocabulary as Qwen publishes its own: transformers reads every tokenizer beside a qwen2 model that way."""
    Tokenizer.load(folder).save(target)
    path = target / VOCABULARY_FILE
    said = json.loads(path.read_text(encoding="utf-8"))
    said["normalizer"] = {"type": "NFC"}
    said["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {"Regex": Family.find("qwen2", frozenset()).split}
    path.write_text(json.dumps(said, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return target
