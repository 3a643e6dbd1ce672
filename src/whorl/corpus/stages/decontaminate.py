"""corpus/stages/decontaminate: keep exams out of the corpus: find their questions in documents, word for word, and say where.

Looks for what evals.exam asks of tasks and for the fields of any JSON Lines exam. Finds copies, also in other case, spacing and
punctuation; does not find paraphrases or translations. Put it last: an edit that comes later can bring words together.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from whorl.core.artifact import Artifact
from whorl.core.canonical import digest
from whorl.core.config import Ref
from whorl.core.errors import DataError
from whorl.core.shards import ShardCache
from whorl.core.stage import Job, Stage
from whorl.corpus.contamination import SearchTask, read_found, search_shard
from whorl.corpus.decontaminated import Cleared, CutRule, CutTask, clear_shard
from whorl.corpus.exam_index import MatchRule, exam_figures, read_index, write_index
from whorl.corpus.exams import AskedTask, ExamFiles, ExamText, asked_texts, file_texts
from whorl.corpus.passing import documents_in, passed_counts
from whorl.corpus.shard_map import mapped

__all__ = ["Decontaminate"]


class Decontaminate(Stage):
    """The same documents without those, or those spans, that exams hold; every finding is in `contamination-N.parquet`."""

    is_seeded: ClassVar[bool] = True  # tasks ask other questions under another seed

    from_: Ref[Literal["documents"]] = Field(alias="from")
    exams: tuple[ExamFiles, ...] = ()
    tasks: tuple[AskedTask, ...] = ()
    ngram_words: int = Field(13, ge=1)  # GPT-3's; eight words in common are often chance, thirteen hardly ever
    min_words: int = Field(8, ge=1)  # a shorter text of an exam is a common phrase: not looked for, and counted
    max_texts: int = Field(10, ge=1)  # an n-gram of more texts of one exam is its wording, not a question: not looked for
    action: Literal["drop", "cut"] = "drop"
    margin_chars: int = Field(200, ge=0)  # cut on both sides as well: the answer is often near; GPT-3's
    max_cut_share: float = Field(0.5, ge=0, le=1)  # a document that would lose more of its bytes is dropped

    @model_validator(mode="after")
    def _exams_are_named_apart(self) -> Self:
        names = Counter([*(exam.called for exam in self.exams), *(asked.task.use for asked in self.tasks)])
        if not names:
            raise ValueError("exams and tasks are empty: there is nothing to look for; name what the model will be asked")
        twice = [name for name, times in names.items() if times > 1]
        if twice:
            raise ValueError(f"two exams are called '{twice[0]}'; set name on one of them")
        if self.min_words > self.ngram_words:
            raise ValueError(f"min_words={self.min_words}: want at most ngram_words={self.ngram_words}")
        return self

    def raw_inputs(self, root: Path) -> Mapping[str, str]:
        """See Stage.raw_inputs: the files of exams."""
        return {f"exams.{number}": exam.content(root) for number, exam in enumerate(self.exams)}

    def run(self, job: Job) -> Mapping[str, Any]:
        """See Stage.run. Raises DataError when an exam holds nothing to look for, or no document is left."""
        shards = documents_in(job.open(self.from_))
        texts = self._exam_texts(job)
        rule = MatchRule(self.ngram_words, self.min_words, self.max_texts)
        sought = [self.ngram_words, self.min_words, self.max_texts]
        key = ShardCache.key("corpus.exam_index", self.code_version, sought, digest(texts))
        index = job.shards.make(key, lambda folder: write_index(texts, rule, folder))
        tasks = [self._search_task(job, path, content, index=index) for path, content in shards]
        searched = list(mapped(job, search_shard, tasks))
        cut_rule = CutRule(self.action, self.margin_chars, self.max_cut_share)
        cut_tasks = [
            CutTask(path, searched[number], index, cut_rule, job.folder, number) for number, (path, _) in enumerate(shards)
        ]
        return self._counts(job, list(mapped(job, clear_shard, cut_tasks)), _figures(index, searched))

    def work(self, inputs: Mapping[str, Artifact]) -> float | None:
        """Bytes of text."""
        documents = inputs.get(self.from_.target)
        num_bytes = documents.counts.get("bytes") if documents else None
        return float(num_bytes) if num_bytes is not None else None

    def _exam_texts(self, job: Job) -> list[ExamText]:
        folders = {target: artifact.path for target, artifact in job.inputs.items()}
        texts = [text for exam in self.exams for text in file_texts(exam, job.root)]
        return texts + [text for asked in self.tasks for text in asked_texts(asked, job.seed, folders)]

    def _search_task(self, job: Job, path: Path, content: str, *, index: Path) -> SearchTask:
        return SearchTask(
            path, index, ShardCache.key("corpus.decontaminate", self.code_version, index.name, content), job.shards
        )

    def _counts(self, job: Job, cleared: Sequence[Cleared], figures: Mapping[str, Any]) -> dict[str, Any]:
        counts = passed_counts([shard.passed for shard in cleared])
        if not counts["documents"]:
            raise DataError(f"{job.name}: all {counts['documents_in']} documents were dropped; `whorl data stats` lists why")
        not_sought = {name: value for name, value in figures.items() if name.endswith(".items_not_sought") and value}
        if not_sought:
            shown = ", ".join(f"{value} of {name.split('.')[1]}" for name, value in not_sought.items())
            job.events.warn(f"items too short or too much alike to be looked for: {shown}", **not_sought)
        found = {"contaminated": sum(shard.documents for shard in cleared), "spans": sum(shard.spans for shard in cleared)}
        return {**counts, **found, **figures}


def _figures(index: Path, searched: Sequence[Path]) -> dict[str, Any]:
    is_found = np.zeros(len(read_index(index).texts), dtype=np.bool_)
    for folder in searched:
        is_found[read_found(folder)] = True
    return exam_figures(index, is_found)
