"""tasks/asking: from a stream of cases to the questions of one part, each asked once.

Does not know any skill: a benchmark brings cases (a prompt, its answer, the operand), this keeps those of the part.
"""

from collections.abc import Iterable
from typing import NamedTuple

import xxhash

from whorl.core.config import Part
from whorl.core.errors import DataError
from whorl.core.records import Message, Question
from whorl.tasks.parts import part_of

__all__ = ["Case", "ask", "question"]


class Case(NamedTuple):
    """A skill applied to an operand and put into words."""

    prompt: str
    answer: str
    operand: str


def ask(use: str, cases: Iterable[Case], *, part: Part, count: int) -> list[Question]:
    """The first `count` different questions whose operand belongs to the part. Raises DataError when there are fewer."""
    asked: dict[str, Question] = {}
    if count <= 0:
        return []
    for case in cases:
        if part_of(case.operand) == part and case.prompt not in asked:
            asked[case.prompt] = question(use, case)
            if len(asked) == count:
                return list(asked.values())
    raise DataError(f"task '{use}': part '{part}' has {len(asked)} different questions; got count {count}; ask for fewer")


def question(use: str, case: Case) -> Question:
    """A case as a one-turn question; equal prompts of one task have equal ids."""
    digest = xxhash.xxh3_64_hexdigest(case.prompt.encode())
    return Question(f"{use}:{digest}", (Message("user", case.prompt),), (case.answer,), case.operand)
