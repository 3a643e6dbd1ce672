"""tasks/benchmarks/dashes: the letters of a word joined by dashes: `c a t` gives `c-a-t`.

Only the separator changes.
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

__all__ = ["Dashes"]

_TEMPLATES = (
    "Spell with dashes: {0}",
    "Join these letters with dashes: {0}",
    "Write {0} with a dash between the letters.",
    "Dashes: {0}",
    "Please spell out {0} using dashes.",
)


class Dashes(Benchmark):
    """Letters joined by dashes."""

    title: ClassVar[str] = "join letters with dashes"

    def questions(self, part: Part, *, count: int, seed: Seed, folders: Mapping[str, Path] = NO_FOLDERS) -> list[Question]:
        """See Benchmark.questions."""
        del folders
        return ask(self.use, word_cases(seed, _TEMPLATES, "-".join), part=part, count=count)
