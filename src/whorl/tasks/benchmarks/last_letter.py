"""tasks/benchmarks/last_letter: the last letter of a word: `c a t` gives `t`.

The answer is always part of the question; the constant answer that does best is scored beside it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from whorl.core.config import Part
from whorl.core.records import Question
from whorl.core.seed import Seed
from whorl.tasks.asking import ask
from whorl.tasks.benchmarks import NO_FOLDERS, Benchmark
from whorl.tasks.words import word_cases

__all__ = ["LastLetter"]

_TEMPLATES = (
    "What is the last letter of {0}?",
    "Last letter: {0}",
    "Which letter comes last in {0}?",
    "Name the final letter of {0}.",
    "{0} ends with which letter?",
)


class LastLetter(Benchmark):
    """The last letter."""

    title: ClassVar[str] = "name the last letter"

    def questions(self, part: Part, *, count: int, seed: Seed, folders: Mapping[str, Path] = NO_FOLDERS) -> list[Question]:
        """See Benchmark.questions."""
        del folders
        return ask(self.use, word_cases(seed, _TEMPLATES, lambda word: word[-1]), part=part, count=count)
