"""Shared by the tests of evals: a small corpus, its tokens, two little checkpoints, and a job to examine them in."""

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from whorl.core.artifact import Artifact
from whorl.core.events import Events
from whorl.core.pool import InlinePool
from whorl.core.records import DOCUMENTS
from whorl.core.seed import Seed
from whorl.core.shards import ShardCache, shard_path, write_table
from whorl.core.stage import Job
from whorl.model import checkpoint
from whorl.model.config import ModelConfig
from whorl.model.initialize import initialize
from whorl.model.transformer import Transformer
from whorl.tokens.learn import learn_tokenizer
from whorl.tokens.shards import TOKENIZER_FOLDER, ShardWriter

NOUNS = ("spindle", "whorl", "thread", "fibre", "wheel", "weaver", "loom", "shuttle")
PARTS = {"train": range(80), "held_out": range(100, 112), "exam": range(200, 212)}


def text(number):
    """One to six sentences about things that turn."""
    pick = Seed(number).child("text").generator()
    sentences = [
        f"The {NOUNS[pick.integers(8)]} turns the {NOUNS[pick.integers(8)]} {pick.integers(100)} times."
        for _ in range(int(pick.integers(1, 7)))
    ]
    return f"Return the number {number} of the mill. {' '.join(sentences)}"


@dataclass(frozen=True)
class Ground:
    """Where the toy artifacts are."""

    root: Path

    def artifact(self, name):
        kind = "checkpoint" if name in ("base", "chat") else "tokens" if name == "ids" else "documents"
        return Artifact(kind, name, self.root / name, {"content": name, "counts": {}, "files": {}})

    def job(self, folder, *, sinks=()):
        folder.mkdir(parents=True, exist_ok=True)
        return Job(
            name="exam",
            root=folder,
            folder=folder,
            inputs={name: self.artifact(name) for name in ("base", "chat", "ids", "clean")},
            seed=Seed(7).child("exam"),
            events=Events("exam", list(sinks)),
            pool=InlinePool(),
            shards=ShardCache(folder),
        )


def write_documents(folder, parts):
    rows = [
        {"id": f"d{n}", "text": text(n), "source": "test", "part": part, "meta": json.dumps({"name": f"mill.tool{n}"})}
        for part, numbers in parts.items()
        for n in numbers
    ]
    write_table(pa.Table.from_pylist(rows, schema=DOCUMENTS), shard_path(folder, "documents", 0))


def write_checkpoint(folder, tokenizer_folder, *, vocab_size, seed):
    config = ModelConfig(
        vocab_size=vocab_size, width=32, depth=2, heads=2, kv_heads=2, head_dim=16, mlp_width=64, max_positions=96
    )
    model = Transformer(config)
    # Far from where training starts, so that a model with newly drawn weights is another model.
    initialize(model, config.model_copy(update={"zero_outputs": False, "init_std": 0.3}), seed=Seed(seed))
    checkpoint.save(folder, model, family="llama", tokenizer_folder=tokenizer_folder)


@pytest.fixture(scope="session")
def ground(tmp_path_factory):
    root = tmp_path_factory.mktemp("ground")
    write_documents(root / "clean", PARTS)
    tokenizer = learn_tokenizer((text(n) for n in PARTS["train"]), size=320)
    tokenizer.save(root / "ids" / TOKENIZER_FOLDER)
    for part, numbers in PARTS.items():
        with ShardWriter(root / "ids" / part, tokenizer) as writer:
            writer.add([f"d{n}" for n in numbers], [text(n) for n in numbers])
    for seed, name in enumerate(("base", "chat")):
        write_checkpoint(root / name, root / "ids" / TOKENIZER_FOLDER, vocab_size=tokenizer.size, seed=seed)
    return Ground(root)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
