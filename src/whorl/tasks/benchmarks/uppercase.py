"""tasks/benchmarks/uppercase: the letters of a word as capitals: `c a t` gives `C A T`.

ASCII letters only.
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

__all__ = ["Uppercase"]

_TEMPLATES = (
    "Write in capitals: {0}",
    "Make these letters uppercase: {0}",
    "What is {0} in capital letters?",
    "Uppercase: {0}",
    "Please capitalise every letter of {0}.",
)


class Uppercase(Benchmark):
    """Letters as capitals."""

    title: ClassVar[str] = "write letters as capitals"

    def questions(self, part: Part, *, count: int, seed: Seed, folders: Mapping[str, Path] = NO_FOLDERS) -> list[Question]:
        """See Benchmark.questions."""
        del folders
        return ask(self.use, word_cases(seed, _TEMPLATES, lambda word: spaced(word.upper())), part=part, count=count)
