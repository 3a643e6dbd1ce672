"""tokens/stages/learn: documents -> tokenizer: a vocabulary learnt from the part `train` and measured on `held_out`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from pydantic import Field, field_validator, model_validator

from whorl.core.artifact import Artifact
from whorl.core.config import Part, Ref
from whorl.core.errors import DataError
from whorl.core.quantity import Bytes
from whorl.core.shards import iter_tables
from whorl.core.stage import Job, Stage
from whorl.tokens.learn import MIN_SIZE, Kind, learn_tokenizer, min_size
from whorl.tokens.splits import Split
from whorl.tokens.tokenizer import Tokenizer

__all__ = ["Learn"]

_MEASURED_BYTES: Final = 16 << 20  # bytes per token settle long before this; encoding all of a large corpus would not pay
_BUCKETS: Final = 1 << 16
_MAX_SAMPLE: Final = (1 << 31) - 1  # the library counts pairs in 32 signed bits; there are fewer pairs than bytes


class Learn(Stage):
    """A byte-level vocabulary: every text comes back as it was. Texts outside the part `train` cannot change it.

    Of a corpus larger than `sample`, documents are drawn by a hash of their ids; a warning and the counts say how much.
    """

    makes: ClassVar[str] = "tokenizer"

    from_: Ref[Literal["documents"]] = Field(alias="from")
    size: int = Field(default=4096, ge=MIN_SIZE, le=1 << 20)  # ids, the special ones and 256 bytes included
    split: Split = "qwen2"
    kind: Kind = "bpe"
    mask: bool = False  # with a `<|mask|>`, which objectives masked and next_sentence put where a token is hidden
    sample: Bytes = Field(default=10**9, ge=1, le=_MAX_SAMPLE)  # bytes of text at most: memory grows with distinct words

    @field_validator("from_")
    @classmethod
    def _reads_train(cls, value: Ref[Any]) -> Ref[Any]:
        if value.part not in (None, "train"):
            raise ValueError(f"a vocabulary is learnt from the part train only; want '{value.target}', got '{value}'")
        return value

    @model_validator(mode="after")
    def _holds_the_bytes(self) -> Self:
        least = min_size(self.kind) + self.mask
        if self.size < least:
            raise ValueError(f"size={self.size}: want at least {least} for kind {self.kind}")
        return self

    def work(self, inputs: Mapping[str, Artifact]) -> float | None:
        """Bytes of the documents."""
        documents = inputs.get(self.from_.target)
        return float(documents.size_bytes) if documents else None

    def run(self, job: Job) -> Mapping[str, Any]:
        """Write the tokenizer's files into the artifact."""
        documents = job.open(self.from_).path
        share = _Share.of(documents, self.sample)
        if not share.num_docs:
            raise DataError(f"{job.name}: no document of the part train in {documents}; draw parts with corpus.refine first")
        reading = _Reading(job, documents, share)
        if share.drawn is not None:
            job.events.warn(f"learning from a sample: {share.num_bytes} bytes of train are more than {self.sample}")
        tokenizer = learn_tokenizer(reading.texts(), size=self.size, split=self.split, kind=self.kind, mask=self.mask)
        if not reading.num_docs:
            raise DataError(f"{job.name}: every document of train is larger than sample={self.sample} bytes; raise sample")
        tokenizer.save(job.folder)
        if tokenizer.size < self.size:
            job.events.warn(f"the text supports {tokenizer.size} ids, not {self.size}: no other pair of tokens occurs twice")
        return {
            "vocabulary": tokenizer.size,
            "train_documents": share.num_docs,
            "train_bytes": share.num_bytes,
            "learnt_documents": reading.num_docs,
            "learnt_bytes": reading.num_bytes,
            "bytes_per_token_train": _bytes_per_token(tokenizer, documents, "train"),
            "bytes_per_token_held_out": _bytes_per_token(tokenizer, documents, "held_out"),
        }


@dataclass(frozen=True)
class _Share:
    """What there is to learn from, and which of it is read: whole buckets of documents, by a hash of their ids."""

    num_docs: int
    num_bytes: int
    drawn: np.ndarray | None  # by bucket; None: everything

    @classmethod
    def of(cls, documents: Path, most_bytes: int) -> Self:
        """All, or buckets in order as long as they fit, passing over one that does not: order and shards do not matter."""
        num_docs = num_bytes = 0
        for table in _tables(documents, "train"):
            num_docs += len(table)
            num_bytes += int(_sizes(table).sum())
        if num_bytes <= most_bytes:
            return cls(num_docs, num_bytes, None)
        bytes_of = np.zeros(_BUCKETS, dtype=np.int64)
        for table in _tables(documents, "train"):
            np.add.at(bytes_of, _buckets(table), _sizes(table))
        drawn, room = np.zeros(_BUCKETS, dtype=bool), most_bytes
        for bucket, size in enumerate(bytes_of.tolist()):
            drawn[bucket] = size <= room
            room -= size if drawn[bucket] else 0
        return cls(num_docs, num_bytes, drawn)

    def of_table(self, table: pa.Table) -> pa.Table:
        """The drawn documents of one shard."""
        return table if self.drawn is None else table.filter(pa.array(self.drawn[_buckets(table)]))


class _Reading:
    """The drawn texts, counted as they are read."""

    def __init__(self, job: Job, documents: Path, share: _Share) -> None:
        self._job, self._documents, self._share = job, documents, share
        self.num_docs = self.num_bytes = 0

    def texts(self) -> Iterator[str]:
        """One by one, telling how far reading is."""
        for table in _tables(self._documents, "train"):
            drawn = self._share.of_table(table)
            self.num_bytes += int(_sizes(drawn).sum())
            for text in drawn["text"]:
                self.num_docs += 1
                self._job.events.progress(self.num_docs, None, "documents")
                yield str(text.as_py())


def _buckets(table: pa.Table) -> np.ndarray:
    return np.array([xxhash.xxh3_64_intdigest(name.encode()) % _BUCKETS for name in table["id"].to_pylist()], dtype=np.int64)


def _sizes(table: pa.Table) -> np.ndarray:
    """Bytes of each text."""
    sizes: np.ndarray = pc.binary_length(table["text"]).to_numpy().astype(np.int64)
    return sizes


def _tables(documents: Path, part: Part) -> Iterator[pa.Table]:
    for table in iter_tables(documents, columns=["id", "text", "part"]):
        yield table.filter(pc.equal(table["part"], part))


def _bytes_per_token(tokenizer: Tokenizer, documents: Path, part: Part) -> float | str:
    """Over the first 16 MiB of a part's text, whole documents; `not measured` when it has none."""
    num_bytes = num_tokens = 0
    for texts in _first_texts(documents, part):
        num_bytes += int(pc.sum(pc.binary_length(texts)).as_py() or 0)
        num_tokens += len(tokenizer.encode_column(texts).ids)
    return round(num_bytes / num_tokens, 4) if num_tokens else "not measured"


def _first_texts(documents: Path, part: Part) -> Iterator[pa.Array]:
    room = _MEASURED_BYTES
    for table in _tables(documents, part):
        sizes = _sizes(table)
        many = 1 + int(np.searchsorted(np.cumsum(sizes), room))
        yield from table["text"].slice(0, many).chunks
        room -= int(sizes[:many].sum())
        if room <= 0:
            return
