"""corpus/stages/unrepeat: take out lines or paragraphs that are said again and again: menus, notices, quoted posts.

Segments are equal when their words and punctuation are, whatever the case and spacing. Of a repeated one the first occurrence
stays: the earliest in the document whose id has the smallest hash, which no order or sharding changes, and which spreads first
occurrences evenly over sources. Whole documents that are near copies are corpus.refine's concern.
Lee et al. 2022, https://arxiv.org/abs/2107.06499, on why what is repeated should go.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from whorl.core.artifact import Artifact
from whorl.core.config import Ref
from whorl.core.errors import DataError
from whorl.core.shards import ShardCache, read_table
from whorl.core.stage import Job, Stage
from whorl.corpus.passing import documents_in, passed_counts
from whorl.corpus.repeats import RepeatRule, SegmentTask, merge_repeats, segment_shard
from whorl.corpus.shard_map import mapped
from whorl.corpus.unrepeated import Trimmed, TrimRule, TrimTask, trim_shard, write_ids
from whorl.text.segments import SegmentKind

__all__ = ["Unrepeat"]


class Unrepeat(Stage):
    """The same documents without repeated segments; every removed span is in `spans-N.parquet` beside the ledger."""

    from_: Ref[Literal["documents"]] = Field(alias="from")
    unit: SegmentKind = "paragraph"
    min_chars: int = Field(40, ge=1)  # shorter ones ("Yes.", "Example") may repeat freely
    more_than: int = Field(1, ge=1)  # repeated: it occurs in more documents than this, or more often
    count: Literal["documents", "occurrences"] = "documents"
    keep: Literal["first", "none"] = "first"
    max_removed_share: float = Field(0.5, ge=0, le=1)  # a document that loses more of its bytes is dropped

    def run(self, job: Job) -> Mapping[str, Any]:
        """See Stage.run. Raises DataError when no document is left."""
        shards = documents_in(job.open(self.from_))
        paths = [path for path, _ in shards]
        folders = list(mapped(job, segment_shard, [self._task(job, path, content) for path, content in shards]))
        first = np.cumsum([0, *(read_table(path, ["id"]).num_rows for path in paths)])
        rule = RepeatRule(self.more_than, self.count)
        repeated = tuple(merge_repeats(folders, first, job.scratch, rule=rule))
        write_ids(paths, job.scratch / "ids.arrow")
        tasks = self._trim_tasks(job, list(zip(paths, folders, strict=True)), first=first, repeated=repeated)
        return self._counts(job, list(mapped(job, trim_shard, tasks)), repeated)

    def work(self, inputs: Mapping[str, Artifact]) -> float | None:
        """Bytes of text."""
        documents = inputs.get(self.from_.target)
        num_bytes = documents.counts.get("bytes") if documents else None
        return float(num_bytes) if num_bytes is not None else None

    def _task(self, job: Job, path: Path, content: str) -> SegmentTask:
        key = ShardCache.key("corpus.unrepeat", self.code_version, [self.unit, self.min_chars], content)
        return SegmentTask(path, key, job.shards, self.unit, self.min_chars)

    def _trim_tasks(
        self, job: Job, shards: Sequence[tuple[Path, Path]], *, first: np.ndarray, repeated: tuple[Path, ...]
    ) -> list[TrimTask]:
        rule = TrimRule(self.keep, self.max_removed_share)
        ids = job.scratch / "ids.arrow"
        return [
            TrimTask(path, folder, repeated, ids, int(first[number]), rule, job.folder, number)
            for number, (path, folder) in enumerate(shards)
        ]

    def _counts(self, job: Job, trimmed: Sequence[Trimmed], repeated: Sequence[Path]) -> dict[str, Any]:
        counts = passed_counts([shard.passed for shard in trimmed])
        if not counts["documents"]:
            raise DataError(f"{job.name}: all {counts['documents_in']} documents were dropped; raise max_removed_share")
        lost = sum(shard.segments_lost for shard in trimmed)
        if lost:
            job.events.warn(f"{lost} repeated {self.unit}s are gone altogether: the document kept for them was itself dropped")
        return counts | {
            "segments": sum(shard.segments for shard in trimmed),
            "segments_repeated": sum(len(np.load(path, mmap_mode="r")) for path in repeated),
            "segments_removed": sum(shard.segments_removed for shard in trimmed),
            "segments_lost": lost,
        }
