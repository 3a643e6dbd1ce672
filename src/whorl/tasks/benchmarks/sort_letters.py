"""tasks/benchmarks/sort_letters: the letters of a word in alphabetical order: `c a t` gives `a c t`.

Letters that already are in order are not asked: their answer is the question.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from whorl.core.config import Part
from whorl.core.records import Question
from whorl.core.seed import Seed
from whorl.tasks.asking import ask
from whorl.tasks.benchmarks import NO_FOLDERS, Benchmark
from whorl.tasks.words import spaced, word_cases

__all__ = ["SortLetters"]

_TEMPLATES = (
    "Sort the letters: {0}",
    "Put these letters in alphabetical order: {0}",
    "What is {0} in alphabetical order?",
    "Sort: {0}",
    "Please order {0} from a to z.",
)


class SortLetters(Benchmark):
    """Letters in alphabetical order."""

    title: ClassVar[str] = "sort letters"

    def questions(self, part: Part, *, count: int, seed: Seed, folders: Mapping[str, Path] = NO_FOLDERS) -> list[Question]:
        """See Benchmark.questions."""
        del folders
        return ask(self.use, word_cases(seed, _TEMPLATES, lambda word: spaced("".join(sorted(word)))), part=part, count=count)
