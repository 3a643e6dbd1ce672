"""corpus/stages/refine: edits, filters, deduplication and parts: from what was collected to what may be learnt from.

Edits and filters are a cached map over shards; copies and parts are decided once over all of them; what came in equals what
goes out plus what was dropped, by reason. Does not mix or resample.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from whorl.core.artifact import Artifact
from whorl.core.canonical import plain
from whorl.core.config import PARTS, Config, Ref, refs_in
from whorl.core.errors import ConfigError, DataError
from whorl.core.shards import ShardCache, iter_tables, shard_paths
from whorl.core.stage import Job, Stage
from whorl.corpus.clean import Cleaned, CleanTask, clean_shard, warm_up
from whorl.corpus.dedup import Dedup
from whorl.corpus.edits import Edit
from whorl.corpus.fates import KEPT, Candidates, Fates, Survival, decide, read_candidates
from whorl.corpus.filters import Filter
from whorl.corpus.finish import Finished, FinishTask, finish_shard
from whorl.corpus.group_keys import GroupBy
from whorl.corpus.groups import KnownParts
from whorl.corpus.keep import Keep, KeepPolicy
from whorl.corpus.known import KnownCorpus, index_corpus, known_names
from whorl.corpus.overlap import NGRAM_WORDS, measure_overlap
from whorl.corpus.report import write_report
from whorl.corpus.report_page import page
from whorl.corpus.shard_map import mapped
from whorl.text.columns import text_keys
from whorl.text.lsh import NO_MATCH

__all__ = ["Refine"]

_LARGE_GROUP = 0.1  # of all kept bytes; such a group can swing the size of a part


class Shares(Config):
    """Fractions of groups that go to each part."""

    train: float = Field(0.94, ge=0, le=1)
    held_out: float = Field(0.03, ge=0, le=1)
    exam: float = Field(0.03, ge=0, le=1)

    @model_validator(mode="after")
    def _sum_is_one(self) -> Self:
        if abs(self.train + self.held_out + self.exam - 1) > 1e-9:
            raise ValueError(f"train + held_out + exam = {self.train + self.held_out + self.exam:g}, want 1")
        return self


class Refine(Stage):
    """Clean documents, each with its part, and a ledger of every document that came in."""

    code_version: ClassVar[int] = 3

    from_: Ref[Literal["documents"]] = Field(alias="from")
    edits: tuple[Edit, ...] = ()
    filters: tuple[Filter, ...] = ()
    dedup: tuple[Dedup, ...] = ()
    # Of copies: the longest, the newest by `date` or else `added` (without either: the oldest), the best by best_by, or none.
    keep: KeepPolicy = "longest"
    best_by: str = ""  # a figure of the ledger, more is better; with a leading `-`, less is
    against: tuple[Ref[Literal["documents"]], ...] = ()  # finished corpora: what they hold is a copy here, and stays there
    group_by: GroupBy = "page"  # documents that agree on it share a part
    parts: Shares = Shares()
    keep_parts: Ref[Literal["documents"]] | None = None  # an earlier corpus whose group keys keep their part

    @model_validator(mode="after")
    def _equal_filters_measure_alike(self) -> Self:
        measured: dict[str, object] = {}
        for rule in self.filters:
            if measured.setdefault(rule.use, rule.measured_by()) != rule.measured_by():
                fields = ", ".join(rule.measures)
                raise ValueError(f"filters: '{rule.use}' is listed twice with different {fields}; only thresholds may differ")
        return self

    @model_validator(mode="after")
    def _filters_with_files_stand_once(self) -> Self:
        # Files count by content, which is not known here: two lists under one name could overwrite each other's figures.
        uses = [rule.use for rule in self.filters if type(rule).raw_inputs is not Filter.raw_inputs]
        if twice := [use for use in uses if uses.count(use) > 1]:
            raise ValueError(f"filters: '{twice[0]}' reads files and is listed twice; put its lists into one")
        return self

    @model_validator(mode="after")
    def _keep_is_whole(self) -> Self:
        if (self.keep == "best") != bool(self.best_by):
            raise ValueError(f"keep={self.keep} and best_by='{self.best_by}': want both best and a figure, or neither")
        if self.against and not self.dedup:
            raise ValueError("against needs dedup: without one nothing is compared")
        return self

    def raw_inputs(self, root: Path) -> Mapping[str, str]:
        """See Stage.raw_inputs: the files filters read."""
        return {
            f"filters.{number}.{field}": content
            for number, rule in enumerate(self.filters)
            for field, content in rule.raw_inputs(root).items()
        }

    def run(self, job: Job) -> Mapping[str, Any]:
        """See Stage.run. Raises DataError when no document is left."""
        origin = job.open(self.from_)
        folders = self._cleaned(job, origin)
        keep = Keep(self.keep, self.best_by)
        candidates = read_candidates(folders, self.filters, len(self.dedup), keep)
        others = [index_corpus(job, target, self.dedup) for target in dict.fromkeys(ref.target for ref in self.against)]
        shares = (self.parts.train, self.parts.held_out, self.parts.exam)
        fates = decide(candidates, Survival(self.dedup, keep, others), shares, self._known_parts(job))
        kept_ids = _kept_ids(candidates, fates, others)
        finished = list(
            mapped(job, finish_shard, self._finish_tasks(job, folders, first=candidates.first, outcome=(fates, kept_ids)))
        )
        counts = _counts(finished) | self._promises() | _known_figures(others, fates)
        if not counts["documents"]:
            reasons = ", ".join(
                f"{n} {name.removeprefix('dropped.')}" for name, n in counts.items() if name.startswith("dropped.")
            )
            raise DataError(
                f"{job.name}: all {counts['documents_in']} documents were dropped ({reasons}); loosen what drops most"
            )
        counts |= _group_figures(job, candidates, fates)
        report = write_report(job.folder, self.filters, [member.use for member in self.dedup])
        (job.folder / "report.html").write_text(page(report), encoding="utf-8")
        for part, overlap in measure_overlap(job, shard_paths(job.folder)).items():
            counts[f"{part}.longest_ngram_in_train"] = overlap.longest_words
            counts[f"{part}.share_of_{NGRAM_WORDS}grams_in_train"] = round(overlap.share, 6)
        return counts

    def work(self, inputs: Mapping[str, Artifact]) -> float | None:
        """Bytes of text."""
        documents = inputs.get(self.from_.target)
        num_bytes = documents.counts.get("bytes") if documents else None
        return float(num_bytes) if num_bytes is not None else None

    def _cleaned(self, job: Job, origin: Artifact) -> list[Cleaned]:
        paths = shard_paths(origin.path)
        if not paths:
            raise DataError(f"{origin.path} holds no documents-*.parquet; want a folder of documents")
        tasks = [self._clean_task(job, path, str(origin.manifest["files"][path.name]["sha256"])) for path in paths]
        if job.pool.workers > 1 and len(tasks) > 1:
            warm_up(tasks[0])
        return list(mapped(job, clean_shard, tasks))

    def _clean_task(self, job: Job, path: Path, content: str) -> CleanTask:
        refers = {
            target: job.inputs[target] for rule in self.filters for target in sorted({r.target for _, r in refs_in(rule)})
        }
        config = [
            plain(list(self.edits), hashed_only=True),
            [rule.measured_by() for rule in self.filters],
            [member.signed_by() for member in self.dedup],
            self.group_by,
            self.raw_inputs(job.root),
            {target: artifact.content for target, artifact in refers.items()},
        ]
        return CleanTask(
            path,
            ShardCache.key("corpus.clean", self.code_version, config, content),
            job.shards,
            self.edits,
            tuple(rule.measuring() for rule in self.filters),
            self.dedup,
            self.group_by,
            {target: artifact.path for target, artifact in refers.items()},
            job.root,
        )

    def _finish_tasks(
        self, job: Job, folders: Sequence[Cleaned], *, first: npt.NDArray[np.int64], outcome: tuple[Fates, pa.Array]
    ) -> list[FinishTask]:
        fates, kept_ids = outcome
        tasks = []
        for number, folder in enumerate(folders):
            begin, end = int(first[number]), int(first[number + 1])
            own = fates.slice(begin, end)
            task = FinishTask(folder, job.folder, number, self.filters, own, self.dedup, kept_ids.slice(begin, end - begin))
            tasks.append(task)
        return tasks

    def _promises(self) -> dict[str, float]:
        return {f"{member.use}.{name}": value for member in self.dedup for name, value in member.promises().items()}

    def _known_parts(self, job: Job) -> KnownParts:
        if self.keep_parts is None:
            return KnownParts.of(np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64))
        earlier = job.open(self.keep_parts)
        grouped_by = earlier.manifest.get("identity", {}).get("config", {}).get("group_by", self.group_by)
        if grouped_by != self.group_by:
            raise ConfigError(f"{job.name}: keep_parts was grouped by '{grouped_by}', this stage groups by '{self.group_by}'")
        table = pa.concat_tables(iter_tables(earlier.path, "ledger", ["group_key", "part"])).drop_null()
        if not len(table):
            raise DataError(f"{job.name}: keep_parts names documents without parts; want what corpus.refine made")
        return KnownParts.of(text_keys(table["group_key"]), np.array([PARTS.index(p) for p in table["part"].to_pylist()]))


def _kept_ids(candidates: Candidates, fates: Fates, others: Sequence[KnownCorpus]) -> pa.Array:
    """For each candidate, the id of the document that stands for it: here, or `corpus:id` of another corpus."""
    ids = candidates.ids.combine_chunks().take(pa.array(fates.kept_instead))
    is_elsewhere = fates.known != NO_MATCH
    if not is_elsewhere.any():
        return ids
    return pc.replace_with_mask(ids, pa.array(is_elsewhere), known_names(others, fates.known[is_elsewhere]))


def _known_figures(others: Sequence[KnownCorpus], fates: Fates) -> dict[str, Any]:
    """For each other corpus: what ledgers call it, how many documents it has, and how many copies of them came in."""
    figures: dict[str, Any] = {}
    begin = 0
    for corpus in others:
        end = begin + int(corpus.first[-1])
        copies = int(((fates.known >= begin) & (fates.known < end)).sum())
        own = {"called": corpus.name, "documents": end - begin, "copies": copies}
        figures |= {f"against.{corpus.target}.{name}": value for name, value in own.items()}
        begin = end
    return figures


def _counts(finished: Sequence[Finished]) -> dict[str, Any]:
    dropped = sum((Counter(shard.dropped) for shard in finished), Counter[str]())
    documents_in = sum(shard.documents_in for shard in finished)
    kept = sum(sum(shard.part_documents.values()) for shard in finished)
    assert documents_in == kept + dropped.total(), f"{documents_in} documents in, {kept} out, {dropped.total()} dropped"
    counts: dict[str, Any] = {"documents_in": documents_in, "documents": kept, "dropped": dropped.total()}
    counts["bytes_in"] = sum(shard.bytes_in for shard in finished)
    counts["bytes"] = sum(sum(shard.part_bytes.values()) for shard in finished)
    for part in PARTS:
        counts[f"{part}.documents"] = sum(shard.part_documents[part] for shard in finished)
        counts[f"{part}.bytes"] = sum(shard.part_bytes[part] for shard in finished)
    return counts | {f"dropped.{name}": count for name, count in sorted(dropped.items())}


def _group_figures(job: Job, candidates: Candidates, fates: Fates) -> dict[str, Any]:
    """Number of groups with a kept document, and the share of kept bytes in the largest; warns of one that is very large."""
    is_kept = fates.dropped_by == KEPT
    sizes = np.bincount(fates.groups[is_kept], weights=candidates.num_bytes[is_kept])
    share = round(float(sizes.max() / sizes.sum()), 6)
    if share > _LARGE_GROUP:
        part = PARTS[int(fates.parts[int(sizes.argmax())])]
        job.events.warn(f"the largest group holds {share:.0%} of the text, all in '{part}'", group_share=share)
    return {"groups": int((sizes > 0).sum()), "largest_group_share": share}
