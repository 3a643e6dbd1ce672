"""tokens/stages/from_megatron: Megatron's `.bin/.idx` and their tokenizer -> tokens: ids that were encoded elsewhere, as ours.

Nothing is guessed: which files are which part and how documents are framed is written in the recipe, and every document is held
against it and against the vocabulary. Documents are called `file:number`. Does not decode or encode anything again.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from whorl.core.artifact import file_sha256
from whorl.core.config import PARTS, UNHASHED, Part, Ref
from whorl.core.errors import DataError
from whorl.core.stage import Job, Stage
from whorl.tokens.megatron import IndexedDocuments, bin_path, idx_path
from whorl.tokens.shards import TOKENIZER_FOLDER, ShardWriter, TokenShards
from whorl.tokens.text_bytes import TextBytes
from whorl.tokens.tokenizer import EncodedColumn, Tokenizer

__all__ = ["FromMegatron"]

_TOKENS_AT_ONCE: Final = 1 << 22  # bounds memory

Frame = Literal["none", "end", "both"]


class FromMegatron(Stage):
    """Token shards from indexed datasets; each document comes out framed by the tokenizer's `bos` and `end`."""

    makes: ClassVar[str] = "tokens"

    tokenizer: Ref[Literal["tokenizer"]]  # that made the ids
    files: Mapping[Part, tuple[str, ...]] = Field(min_length=1, json_schema_extra=UNHASHED)  # part -> paths without .bin, .idx
    frame: Frame  # of every document in the files: no special id, an `end` (Megatron's --append-eod), or `bos` and `end`

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [Path(path).name for paths in self.files.values() for path in paths]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice or not names:
            raise ValueError(
                f"files: {', '.join(twice) or 'none'}; want files with different names: documents are called by them"
            )
        return self

    def raw_inputs(self, root: Path) -> Mapping[str, str]:
        """Contents of both files of each path, and what they are called."""
        paths = [(part, number, root / path) for part in self.files for number, path in enumerate(self.files[part])]
        missing = [str(file) for _, _, path in paths for file in (bin_path(path), idx_path(path)) if not file.is_file()]
        if missing:
            raise DataError(f"{missing[0]}: missing; want NAME.bin and NAME.idx side by side, and NAME in the recipe")
        return {
            f"files.{part}.{number}.{file.name}": file_sha256(file)
            for part, number, path in paths
            for file in (bin_path(path), idx_path(path))
        }

    def run(self, job: Job) -> Mapping[str, Any]:
        """Copy every document into its part, checking it. Raises DataError naming the first that is not as written."""
        tokenizer = Tokenizer.load(job.open(self.tokenizer).path)
        tokenizer.save(job.folder / TOKENIZER_FOLDER)
        text_bytes = TextBytes(tokenizer)
        num_special = sum(self._write(job, part, tokenizer, text_bytes) for part in PARTS)
        if num_special:
            job.events.warn(f"{num_special} special ids inside documents: text was encoded with them, or documents were joined")
        return _counts(job.folder) | {"special_ids_inside": num_special}

    def _write(self, job: Job, part: Part, tokenizer: Tokenizer, text_bytes: TextBytes) -> int:
        """One part; returns how many special ids are inside its documents."""
        num_special = 0
        with ShardWriter(job.folder / part, tokenizer) as writer:
            slabs = (slab for path in self.files.get(part, ()) for slab in self._read(job.root / path, tokenizer))
            for names, encoded in slabs:
                num_special += text_bytes.num_special(encoded)
                writer.add_encoded(names, encoded, text_bytes.of(encoded))
        return num_special

    def _read(self, prefix: Path, tokenizer: Tokenizer) -> Iterator[tuple[pa.Array, EncodedColumn]]:
        """Names and bare ids of some documents at a time."""
        documents = IndexedDocuments.open(prefix)
        cuts = np.searchsorted(documents.offsets, np.arange(0, documents.offsets[-1] + 1, _TOKENS_AT_ONCE))
        for start, stop in pairwise(np.unique([0, *cuts.tolist(), len(documents)]).tolist()):
            bounds = documents.offsets[start : stop + 1]
            ids = documents.ids[bounds[0] : bounds[-1]]
            if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < tokenizer.size:
                wrong = int(ids.min()) if ids.min() < 0 else int(ids.max())
                raise DataError(
                    f"{bin_path(prefix)}: id {wrong} is outside the vocabulary of {tokenizer.size}; wrong tokenizer?"
                )
            names = pa.array([f"{prefix.name}:{number}" for number in range(start, stop)], pa.string())
            yield names, self._bare(ids.astype(np.uint32), bounds - bounds[0], tokenizer, f"{prefix.name}:{start}")

    def _bare(self, ids: np.ndarray, offsets: np.ndarray, tokenizer: Tokenizer, first: str) -> EncodedColumn:
        """Without the frame that every document must have."""
        opening, closing = self.frame == "both", self.frame != "none"
        lengths, is_kept = np.diff(offsets), np.ones(len(ids), dtype=bool)
        is_short = lengths < opening + closing
        _refuse(is_short, first, f"has fewer ids than frame: {self.frame} asks for")
        if closing:
            _refuse(ids[offsets[1:] - 1] != tokenizer.end, first, f"does not end with id {tokenizer.end} (frame: {self.frame})")
            is_kept[offsets[1:] - 1] = False
        if opening:
            _refuse(ids[offsets[:-1]] != tokenizer.bos, first, f"does not begin with id {tokenizer.bos} (frame: {self.frame})")
            is_kept[offsets[:-1]] = False
        bare = offsets - np.arange(len(offsets)) * (int(opening) + int(closing))
        return EncodedColumn(ids[is_kept], bare)


def _refuse(is_wrong: np.ndarray, first: str, fault: str) -> None:
    if is_wrong.any():
        name, _, number = first.rpartition(":")
        raise DataError(f"document {name}:{int(number) + int(np.argmax(is_wrong))} {fault}; write the frame the files have")


def _counts(folder: Path) -> dict[str, Any]:
    counts: dict[str, Any] = {}
    for part in PARTS:
        shards = TokenShards.open(folder, part)
        counts |= {f"{part}_docs": shards.num_docs, f"{part}_tokens": shards.num_tokens, f"{part}_bytes": shards.num_bytes}
    return counts
