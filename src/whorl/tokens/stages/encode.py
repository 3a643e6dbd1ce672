"""tokens/stages/encode: documents and a tokenizer -> tokens: every document of every part as ids, with its place.

One step per input shard, kept by what it was made from, so that one changed file encodes one shard again; then the pieces
are joined in input order. The result does not depend on how many workers there were or how documents were sharded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from whorl.core.artifact import Artifact
from whorl.core.config import PARTS, Ref
from whorl.core.errors import DataError
from whorl.core.shards import ShardCache, read_table, shard_paths
from whorl.core.stage import Job, Stage
from whorl.tokens.shards import TOKENIZER_FOLDER, ShardWriter, TokenShards, join_shards
from whorl.tokens.tokenizer import Tokenizer

__all__ = ["Encode"]

_DOCUMENTS_AT_ONCE: Final = 1024  # bounds memory


class Encode(Stage):
    """Token shards, one folder per part, each document framed by `<|bos|>` and `<|end|>`."""

    makes: ClassVar[str] = "tokens"

    from_: Ref[Literal["documents"]] = Field(alias="from")
    tokenizer: Ref[Literal["tokenizer"]]

    @field_validator("from_")
    @classmethod
    def _encodes_every_part(cls, value: Ref[Any]) -> Ref[Any]:
        if value.part is not None:
            raise ValueError(f"every part is encoded, each into its own folder; want '{value.target}', got '{value}'")
        return value

    def work(self, inputs: Mapping[str, Artifact]) -> float | None:
        """Bytes of the documents."""
        documents = inputs.get(self.from_.target)
        return float(documents.size_bytes) if documents else None

    def run(self, job: Job) -> Mapping[str, Any]:
        """Encode shard by shard, join, and count."""
        documents, made = job.open(self.from_), job.open(self.tokenizer)
        tokenizer = Tokenizer.load(made.path)
        pieces = []
        tasks = self._tasks(job, documents, made.path, tokenizer)
        for piece in job.pool.map(_encode_shard, tasks):
            pieces.append(piece)
            job.events.progress(len(pieces), len(tasks), "shards")
        tokenizer.save(job.folder / TOKENIZER_FOLDER)
        for part in PARTS:
            join_shards([piece / part for piece in pieces], job.folder / part, tokenizer)
        return _counts(job.folder, tokenizer.size) | _encoder(tokenizer)

    def _tasks(self, job: Job, documents: Artifact, vocabulary: Path, tokenizer: Tokenizer) -> list["_Task"]:
        paths = shard_paths(documents.path)
        if not paths:
            raise DataError(f"{job.name}: no documents-*.parquet in {documents.path}; want a documents artifact")
        hashes = [documents.manifest["files"][path.name]["sha256"] for path in paths]
        keys = [ShardCache.key(self.use, self.code_version, {}, sha256, tokenizer.fingerprint) for sha256 in hashes]
        return [_Task(job.shards, key, path, vocabulary) for key, path in zip(keys, paths, strict=True)]


@dataclass(frozen=True)
class _Task:
    """One input shard to encode."""

    cache: ShardCache
    key: str
    documents: Path
    tokenizer: Path

    def write(self, folder: Path) -> None:
        """Encode every part of the shard into `folder`."""
        table = read_table(self.documents, ["id", "text", "part"])
        _check_parts(table, self.documents)
        tokenizer = Tokenizer.load(self.tokenizer)
        for part in PARTS:
            with ShardWriter(folder / part, tokenizer) as writer:
                for batch in table.filter(pc.equal(table["part"], part)).to_batches(max_chunksize=_DOCUMENTS_AT_ONCE):
                    writer.add(batch["id"], batch["text"])


def _encode_shard(task: _Task) -> Path:
    return task.cache.make(task.key, task.write)


def _check_parts(table: pa.Table, path: Path) -> None:
    """Raises DataError when a document has no part, or one that is not known: it would be left out silently."""
    is_known = pc.fill_null(pc.is_in(table["part"], pa.array(PARTS)), False)  # noqa: FBT003 - pyarrow's signature
    strays = table.filter(pc.invert(is_known))
    if len(strays):
        raise DataError(
            f"{path}: {len(strays)} of {len(table)} documents have no known part (first: {strays['id'][0]}, part "
            f"{strays['part'][0]}); want {', '.join(PARTS)}: draw parts with corpus.refine first"
        )


def _encoder(tokenizer: Tokenizer) -> dict[str, str]:
    """Which library computed the ids, and why not the faster one. The ids do not depend on it."""
    return {"encoder": tokenizer.encoder} | ({"encoder_reason": tokenizer.encoder_reason} if tokenizer.encoder_reason else {})


def _counts(folder: Path, size: int) -> dict[str, Any]:
    """Documents, tokens and bytes by part; bytes per token over all text; ids that `train` never shows a model."""
    counts: dict[str, Any] = {}
    num_bytes = num_text_tokens = 0
    for part in PARTS:
        shards = TokenShards.open(folder, part)
        num_bytes += shards.num_bytes
        num_text_tokens += shards.num_tokens - 2 * shards.num_docs
        counts |= {f"{part}_docs": shards.num_docs, f"{part}_tokens": shards.num_tokens, f"{part}_bytes": shards.num_bytes}
    counts["bytes_per_token"] = round(num_bytes / num_text_tokens, 4) if num_text_tokens else "not measured"
    counts["unused_vocabulary"] = int((TokenShards.open(folder, "train").occurrences(size) == 0).sum())
    return counts
