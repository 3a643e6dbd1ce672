"""tasks/benchmarks: the door of skills: one file each, questions with answers that a machine can check.

To add one, write a file here with one class deriving from Benchmark (`questions`, and `check` if equality is not enough), and
its test.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, NamedTuple

from whorl.core.config import Member, Part
from whorl.core.records import Question, Score
from whorl.core.seed import Seed

__all__ = ["NO_FOLDERS", "Benchmark", "Majority"]

NO_FOLDERS: Mapping[str, Path] = MappingProxyType({})


class Majority(NamedTuple):
    """The constant answer that scores best on some questions, and its mean score: what knowing nothing can get."""

    answer: str
    value: float


class Benchmark(Member, is_door=True):
    """A skill: it asks questions, disjoint by operand between parts, and judges answers."""

    title: ClassVar[str]  # what the skill is, as a clause: "reverse the letters of a word"
    is_recall: ClassVar[bool] = False  # asks about training documents: measures memory, never generalisation

    @abstractmethod
    def questions(self, part: Part, *, count: int, seed: Seed, folders: Mapping[str, Path] = NO_FOLDERS) -> list[Question]:
        """`count` different questions of one part; the same seed gives the same questions.

        `folders` holds the finished folder of every reference the benchmark has as a field, by the reference's target.
        Raises DataError when the part has fewer questions.
        """

    def check(self, question: Question, answer: str) -> Score:
        """1 when the answer equals one of the right ones after trimming outer white space, else 0. A prefix is wrong."""
        if not answer.strip():
            return Score(0.0, "empty")
        if answer.strip() in {right.strip() for right in question.answers}:
            return Score(1.0, "equal")
        return Score(0.0, "different")

    def majority(self, questions: Sequence[Question]) -> Majority:
        """The best constant answer to these very questions, among their gold answers; ties go to the first."""
        candidates = dict.fromkeys(question.answers[0] for question in questions)
        best = Majority("", 0.0)
        for answer in candidates:
            mean = sum(self.check(question, answer).value for question in questions) / len(questions)
            if mean > best.value:
                best = Majority(answer, mean)
        return best
