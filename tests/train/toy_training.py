"""Toy data, a toy model, and a job to train it; run as a program it carries out one fit and may be killed.

python toy_training.py GROUND DRAFT STAGE_JSON
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from whorl.core.artifact import Artifact
from whorl.core.events import Events, Sink
from whorl.core.pool import InlinePool
from whorl.core.records import Dialogue, Message, write_dialogues
from whorl.core.seed import Seed
from whorl.core.shards import ShardCache
from whorl.core.stage import Job, Stage, StopSignal
from whorl.tokens.learn import learn_tokenizer
from whorl.tokens.shards import TOKENIZER_FOLDER, ShardWriter
from whorl.tokens.tokenizer import Tokenizer
from whorl.train.objectives import Objective

WORDS = ["the", "loom", "weaves", "thread", "into", "cloth", "while", "a", "whorl", "spins", "wool", "and", "fibre", "turns"]


def text(number: int) -> str:
    """A sentence or ten of house words, drawn by number."""
    draw = Seed(number).child("text").generator()
    return " ".join(WORDS[i] for i in draw.integers(0, len(WORDS), size=int(draw.integers(3, 60)))) + "."


def dialogue(number: int, part: str) -> Dialogue:
    """The user names a word, the assistant says it twice."""
    word = WORDS[number % len(WORDS)]
    turns = [Message("user", f"say {word}"), Message("assistant", f"{word} {word}")]
    if number % 3 == 0:
        turns += [Message("user", "again"), Message("assistant", word)]
    return Dialogue(f"{part}-{number}", tuple(turns), part)


def write_tokens(folder: Path, tokenizer: Tokenizer, num_documents: int) -> None:
    """A tokens artifact of the toy text."""
    tokenizer.save(folder / TOKENIZER_FOLDER)
    for part, numbers in {"train": range(num_documents), "held_out": range(1000, 1008), "exam": range(0)}.items():
        with ShardWriter(folder / part, tokenizer) as writer:
            writer.add([f"doc-{n}" for n in numbers], [text(n) for n in numbers])


@dataclass(frozen=True)
class Ground:
    """Where the toy artifacts are."""

    root: Path

    @classmethod
    def make(cls, root: Path, num_documents: int = 60) -> "Ground":
        for kind, mask in {"tokens": False, "gaps": True}.items():
            tokenizer = learn_tokenizer((text(n) for n in range(40)), size=300, mask=mask)
            write_tokens(root / kind, tokenizer, num_documents)
        (root / "dialogues").mkdir()
        dialogues = [dialogue(n, "train") for n in range(40)] + [dialogue(n, "held_out") for n in range(5)]
        write_dialogues(root / "dialogues" / "dialogues.jsonl", dialogues)
        ground = cls(root)
        fit(save_every=1e9).run(ground.job(root / "base"))
        return ground

    @property
    def tokenizer(self) -> Tokenizer:
        return Tokenizer.load(self.root / "tokens" / TOKENIZER_FOLDER)

    def data_of(self, objective: Objective) -> Artifact:
        """What an objective can read: text under a vocabulary with a mask where it hides tokens."""
        gaps = Artifact("tokens", "gaps", self.root / "gaps", {"content": "gaps", "counts": {}, "files": {}})
        return gaps if objective.looks_ahead else self.artifact(objective.reads)

    def artifact(self, kind: str) -> Artifact:
        return Artifact(kind, kind, self.root / kind, {"content": kind, "counts": {}, "files": {}})

    def job(self, draft: Path, *, inputs: dict[str, Artifact] | None = None, sinks: list[Sink] | None = None) -> Job:
        """A job whose folder survives in `draft`; `ids`, `chats` and whatever `inputs` adds can be referred to."""
        for name in ("checkpoint", "state"):
            (draft / name).mkdir(parents=True, exist_ok=True)
        known = {"ids": self.artifact("tokens"), "chats": self.artifact("dialogues")}
        known["gaps"] = self.data_of(Objective.model_validate({"use": "masked"}))
        if (self.root / "base").is_dir():
            known["base"] = Artifact("checkpoint", "base", self.root / "base" / "checkpoint", {})
        return Job(
            name="base",
            root=draft,
            folder=draft / "checkpoint",
            inputs=known | (inputs or {}),
            seed=Seed(7).child("train.fit"),
            events=Events("base", sinks or []),
            pool=InlinePool(),
            shards=ShardCache(draft),
            stop=StopSignal(),
            siblings={"state": draft / "state"},
        )


MODEL = {"use": "qwen3", "depth": 2, "width": 32, "heads": 2, "mlp_width": 64, "activation": "relu2"}
TEXT = {
    "use": "train.fit",
    "model": MODEL,
    "data": "ids",
    "objective": {"use": "next_token"},
    "length": "12 steps",
    "rows": 4,
    "width": 32,
    "dtype": "fp32",
    "threads": 1,
    "watch": {"every": 5, "documents": 4},
}


def fit(**changes: object) -> Stage:
    """A small fit on text, with some fields changed."""
    return Stage.model_validate({**TEXT, **changes})


BERT = {"use": "bert", "depth": 2, "width": 32, "heads": 2, "mlp_width": 64}
GAPS = {"objective": {"use": "masked"}, "data": "gaps", "model": BERT}
PAIRS = {"objective": {"use": "next_sentence"}, "data": "gaps", "model": {**BERT, "next_sentence": True}}
CHATS = {"objective": {"use": "sft"}, "data": "chats", "model": None, "start": "base", "watch": {"every": 5, "documents": 3}}


def content(draft: Path) -> dict[str, bytes]:
    """Every byte of what a finished fit leaves, resume points apart."""
    paths = [path for path in draft.rglob("*") if path.is_file() and "scratch" not in path.parts]
    return {path.relative_to(draft).as_posix(): path.read_bytes() for path in paths}


def main() -> None:
    """Carry out one fit, telling its events."""
    ground, draft, stage = Ground(Path(sys.argv[1])), Path(sys.argv[2]), json.loads(sys.argv[3])

    def say(event: dict[str, object]) -> None:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()

    fit(**stage).run(ground.job(draft, sinks=[say]))


if __name__ == "__main__":
    main()
