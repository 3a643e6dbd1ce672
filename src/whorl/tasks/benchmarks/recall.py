"""tasks/benchmarks/recall: what a named thing of the training documents does, answered by its document's first sentence.

Measures memory: the documents are training documents and only the wording of the question is new outside training. It says
nothing about things the model has not read, and every report labels it so.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from whorl.core.config import Part
from whorl.core.errors import ConfigError, DataError
from whorl.core.records import Question
from whorl.core.seed import Seed
from whorl.tasks.asking import Case, question
from whorl.tasks.benchmarks import NO_FOLDERS, Benchmark
from whorl.tasks.named import WORDINGS, Corpus, Named, named_documents

__all__ = ["Recall"]


class Recall(Benchmark):
    """Questions about training documents; parts differ by the wording of the question, not by the document."""

    title: ClassVar[str] = "say what something in the documents does"
    is_recall: ClassVar[bool] = True

    documents: Corpus
    num_documents: int = Field(default=400, ge=1)  # asked about: the first by a hash of the name, in every part alike

    def questions(self, part: Part, *, count: int, seed: Seed, folders: Mapping[str, Path] = NO_FOLDERS) -> list[Question]:
        """See Benchmark.questions. Every document is asked about once before any is asked about in other words."""
        if self.documents.target not in folders:
            raise ConfigError(f"task '{self.use}': no folder for documents '{self.documents}'; pass it in folders")
        asked_about = named_documents(folders[self.documents.target])[: self.num_documents]
        templates = WORDINGS[part]
        if count > len(asked_about) * len(templates):
            raise DataError(
                f"task '{self.use}': part '{part}' has {len(asked_about)} documents x {len(templates)} wordings; "
                f"got count {count}; ask for fewer, or raise num_documents (now {self.num_documents})"
            )
        return list(islice(self._asked(asked_about, templates, seed), count))

    def _asked(self, asked_about: list[Named], templates: tuple[str, ...], seed: Seed) -> Iterator[Question]:
        rng = seed.generator()
        first = rng.integers(len(templates), size=len(asked_about))
        for shift in range(len(templates)):
            for index in rng.permutation(len(asked_about)):
                named = asked_about[index]
                template = templates[(first[index] + shift) % len(templates)]
                yield question(self.use, Case(template.format(named.name), named.sentence, f"document:{named.doc_id}"))
