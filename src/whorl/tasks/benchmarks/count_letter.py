"""tasks/benchmarks/count_letter: how often a letter occurs in a word: `a` in `b a n a n a` gives `3`.

The count is drawn before the word, evenly from 0 to 3, so that no constant answer does much better than one in four.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from whorl.core.config import Part
from whorl.core.records import Question
from whorl.core.seed import Seed
from whorl.tasks.asking import Case, ask
from whorl.tasks.benchmarks import NO_FOLDERS, Benchmark
from whorl.tasks.words import letters_operand, spaced, words

__all__ = ["CountLetter"]

_TEMPLATES = (
    "How many times does {1} occur in {0}?",
    "Count the letter {1} in {0}",
    "How often is {1} among the letters {0}?",
    "Number of {1} in {0}:",
    "Please count every {1} in {0}.",
)
_MAX_COUNT = 3
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"


class CountLetter(Benchmark):
    """How often a letter occurs."""

    title: ClassVar[str] = "count a letter"

    def questions(self, part: Part, *, count: int, seed: Seed, folders: Mapping[str, Path] = NO_FOLDERS) -> list[Question]:
        """See Benchmark.questions."""
        del folders
        return ask(self.use, _cases(seed), part=part, count=count)


def _cases(seed: Seed) -> Iterator[Case]:
    rng = seed.child("counts").generator()
    stream = words(seed.child("words"))
    while True:
        wanted = int(rng.integers(_MAX_COUNT + 1))
        word, letters = next((word, letters) for word in stream if (letters := _letters_occurring(word, wanted)))
        letter = letters[rng.integers(len(letters))]
        template = _TEMPLATES[rng.integers(len(_TEMPLATES))]
        yield Case(template.format(spaced(word), letter), str(wanted), letters_operand(word))


def _letters_occurring(word: str, times: int) -> list[str]:
    return [letter for letter in _ALPHABET if word.count(letter) == times]
