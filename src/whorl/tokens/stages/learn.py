"""tokens/stages/learn: documents -> tokenizer: a vocabulary learnt from the part `train` and measured on `held_out`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import pyarrow.compute as pc
from pydantic import Field, field_validator

from whorl.core.artifact import Artifact
from whorl.core.config import Part, Ref
from whorl.core.errors import DataError
from whorl.core.shards import iter_tables
from whorl.core.stage import Job, Stage
from whorl.tokens.learn import MIN_SIZE, Split, learn_tokenizer
from whorl.tokens.tokenizer import Tokenizer

__all__ = ["Learn"]

_MEASURED_BYTES: Final = 16 << 20  # bytes per token settle long before this; encoding all of a large corpus would not pay


class Learn(Stage):
    """A byte-level BPE vocabulary. Texts outside the part `train` cannot change it."""

    makes: ClassVar[str] = "tokenizer"

    from_: Ref[Literal["documents"]] = Field(alias="from")
    size: int = Field(default=4096, ge=MIN_SIZE, le=1 << 20)  # ids, the special ones and 256 bytes included
    split: Split = "qwen2"

    @field_validator("from_")
    @classmethod
    def _reads_train(cls, value: Ref[Any]) -> Ref[Any]:
        if value.part not in (None, "train"):
            raise ValueError(f"a vocabulary is learnt from the part train only; want '{value.target}', got '{value}'")
        return value

    def work(self, inputs: Mapping[str, Artifact]) -> float | None:
        """Bytes of the documents."""
        documents = inputs.get(self.from_.target)
        return float(documents.size_bytes) if documents else None

    def run(self, job: Job) -> Mapping[str, Any]:
        """Write the tokenizer's files into the artifact."""
        documents = job.open(self.from_).path
        tokenizer = learn_tokenizer(_reported(job, documents), size=self.size, split=self.split)
        tokenizer.save(job.folder)
        if tokenizer.size < self.size:
            job.events.warn(f"the text supports {tokenizer.size} ids, not {self.size}: no other pair of tokens occurs twice")
        return {
            "vocabulary": tokenizer.size,
            "bytes_per_token_train": _bytes_per_token(tokenizer, documents, "train"),
            "bytes_per_token_held_out": _bytes_per_token(tokenizer, documents, "held_out"),
        }


def _texts(documents: Path, part: Part) -> Iterator[str]:
    for table in iter_tables(documents, columns=["text", "part"]):
        yield from (text.as_py() for text in table.filter(pc.equal(table["part"], part))["text"])


def _reported(job: Job, documents: Path) -> Iterator[str]:
    """The texts to learn from, telling how far reading is. Raises DataError when there are none."""
    count = 0
    for count, text in enumerate(_texts(documents, "train"), start=1):
        job.events.progress(count, None, "documents")
        yield text
    if not count:
        raise DataError(f"{job.name}: no document of the part train in {documents}; draw parts with corpus.refine first")


def _bytes_per_token(tokenizer: Tokenizer, documents: Path, part: Part) -> float | str:
    """Over the first 16 MiB of a part's text; `not measured` when it has none."""
    num_bytes = num_tokens = 0
    pending: list[str] = []
    for text in _texts(documents, part):
        pending.append(text)
        num_bytes += len(text.encode())
        if num_bytes >= _MEASURED_BYTES:
            break
    num_tokens = sum(len(ids) for ids in tokenizer.encode_batch(pending))
    return round(num_bytes / num_tokens, 4) if num_tokens else "not measured"
