"""tasks/benchmarks/add: sums of two numbers of one or two digits.

The operand is the unordered pair, so `3 + 40` in training keeps `40 + 3` out of the exam. All 4,950 pairs from 1 to 99 are
asked once before any comes back in the other order or in other words. Zero is left out: its answer is in the question.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations_with_replacement
from pathlib import Path
from typing import ClassVar

from whorl.core.config import Part
from whorl.core.records import Question
from whorl.core.seed import Seed
from whorl.tasks.asking import Case, ask
from whorl.tasks.benchmarks import NO_FOLDERS, Benchmark

__all__ = ["Add"]

_TEMPLATES = (
    "What is {0} + {1}?",
    "{0} + {1} =",
    "Add {0} and {1}.",
    "Compute {0} plus {1}.",
    "What do {0} and {1} make together?",
)
_PAIRS = tuple(combinations_with_replacement(range(1, 100), 2))


class Add(Benchmark):
    """Sums of one- and two-digit numbers."""

    title: ClassVar[str] = "add two numbers below 100"

    def questions(self, part: Part, *, count: int, seed: Seed, folders: Mapping[str, Path] = NO_FOLDERS) -> list[Question]:
        """See Benchmark.questions."""
        del folders
        return ask(self.use, _cases(seed), part=part, count=count)


def _cases(seed: Seed) -> Iterator[Case]:
    """Every pair, then every pair in another order or wording, until all orders and wordings are used up."""
    rng = seed.generator()
    num_wordings = 2 * len(_TEMPLATES)
    first = rng.integers(num_wordings, size=len(_PAIRS))
    for shift in range(num_wordings):
        for index in rng.permutation(len(_PAIRS)):
            low, high = _PAIRS[index]
            is_swapped, template = divmod(int(first[index] + shift) % num_wordings, len(_TEMPLATES))
            left, right = (high, low) if is_swapped else (low, high)
            yield Case(_TEMPLATES[template].format(left, right), str(low + high), f"sum:{low}+{high}")
