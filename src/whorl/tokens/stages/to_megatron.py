"""tokens/stages/to_megatron: tokens -> an export that Megatron reads: `<part>.bin` and `<part>.idx`, one sequence a document.

With the frame kept, `.bin` is a copy of the shard's ids, whose layout is the same. Which document is which is kept beside
(`<part>.docs.parquet`), and so is the tokenizer. A part without documents has no files: Megatron cannot map an empty one.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from whorl.core.config import PARTS, Ref
from whorl.core.errors import DataError
from whorl.core.shards import write_table
from whorl.core.stage import Job, Stage
from whorl.tokens.megatron import bin_path, idx_path, write_index
from whorl.tokens.shards import IDS_FILE, TOKENIZER_FOLDER, TokenShards
from whorl.tokens.tokenizer import Tokenizer

__all__ = ["ToMegatron"]

_TOKENS_AT_ONCE: Final = 1 << 22  # bounds memory
# Megatron has no code for uint32; ids are far below 2**31, so the bytes are the same.
_TYPES: Final = {np.dtype("<u2"): "uint16", np.dtype("<u4"): "int32"}


class ToMegatron(Stage):
    """Indexed datasets of one part, or of every part that has documents."""

    makes: ClassVar[str] = "export"

    from_: Ref[Literal["tokens"]] = Field(alias="from")
    frame: Literal["none", "end", "both"] = "both"  # special ids to keep: none, the `end` (Megatron's --append-eod), or all

    def run(self, job: Job) -> Mapping[str, Any]:
        """Write both files of each part. Raises DataError when there is no document at all."""
        tokens = job.open(self.from_).path
        Tokenizer.load(tokens / TOKENIZER_FOLDER).save(job.folder / TOKENIZER_FOLDER)
        counts = {}
        for part in [self.from_.part] if self.from_.part else PARTS:
            shards = TokenShards.open(tokens, part)
            counts[f"{part}_docs"] = shards.num_docs
            counts[f"{part}_tokens"] = self._write(job.folder / part, shards, tokens / part) if shards.num_docs else 0
        if not sum(counts.values()):
            raise DataError(f"{job.name}: no documents in {self.from_}; there is nothing to export")
        return counts

    def _write(self, prefix: Path, shards: TokenShards, source: Path) -> int:
        """One part; returns how many ids it holds."""
        opening, closing = self.frame != "both", self.frame == "none"  # ids to leave out
        lengths = shards.lengths - opening - closing
        if not opening and not closing:
            shutil.copyfile(source / IDS_FILE, bin_path(prefix))
        else:
            with bin_path(prefix).open("wb") as handle:
                for start in range(0, len(shards.ids), _TOKENS_AT_ONCE):
                    ids = shards.ids[start : start + _TOKENS_AT_ONCE]
                    is_left_out = _frame_places(shards, start, len(ids), opening=opening, closing=closing)
                    handle.write(ids[~is_left_out].data)
        write_index(idx_path(prefix), _TYPES[shards.ids.dtype], lengths)
        write_table(pa.table({"id": shards.names}), prefix.with_name(f"{prefix.name}.docs.parquet"))
        return int(lengths.sum())


def _frame_places(shards: TokenShards, start: int, num: int, *, opening: bool, closing: bool) -> np.ndarray:
    """Which of `num` ids from `start` on open or close a document, as asked."""
    first, last = np.searchsorted(shards.starts, [start, start + num])
    is_frame = np.zeros(num, dtype=bool)
    if opening:
        is_frame[shards.starts[first:last] - start] = True
    if closing:
        ends = shards.starts + shards.lengths - 1
        first, last = np.searchsorted(ends, [start, start + num])
        is_frame[ends[first:last] - start] = True
    return is_frame
