"""tasks/benchmarks/reverse: the letters of a word, back to front: `c a t` gives `t a c`.

Palindromes are not asked: their answer is the question.
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

__all__ = ["Reverse"]

_TEMPLATES = (
    "Reverse the letters: {0}",
    "Write these letters backwards: {0}",
    "What is {0} in reverse order?",
    "Reverse: {0}",
    "Please turn {0} around.",
)


class Reverse(Benchmark):
    """Letters back to front."""

    title: ClassVar[str] = "reverse the letters of a word"

    def questions(self, part: Part, *, count: int, seed: Seed, folders: Mapping[str, Path] = NO_FOLDERS) -> list[Question]:
        """See Benchmark.questions."""
        del folders
        return ask(self.use, word_cases(seed, _TEMPLATES, lambda word: spaced(word[::-1])), part=part, count=count)
