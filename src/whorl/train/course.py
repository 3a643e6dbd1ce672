"""train/course: the rows of each step, and what the step may draw: pure functions of where its data lies.

A step's corruption and dropout come from the first place it reads, not from its number, so a run that went back and reads on
further along draws anew, and a resumed run draws the same. Does not pack (tokens/loader) and does not train.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from whorl.core.seed import Seed
from whorl.tokens.batch import Batch
from whorl.tokens.tokenizer import Tokenizer
from whorl.train.detour import Detour, places_at
from whorl.train.mix import Batches
from whorl.train.objectives import Objective
from whorl.train.timetable import Timetable

__all__ = ["Course"]


@dataclass(frozen=True)
class Course:
    """What one run reads."""

    timetable: Timetable
    batches: Batches
    objective: Objective
    tokenizer: Tokenizer
    seed: Seed  # the stage's

    def batch(self, step: int, detours: Sequence[Detour] = ()) -> Batch:
        """The rows of a step (0-based), as the objective wants them."""
        places = places_at(step, self.timetable, detours)
        rng = self._drawn("corruption", places).generator()
        return self.objective.prepared(self.batches.stretch(places), rng, self.tokenizer)

    def draws(self, step: int, detours: Sequence[Detour] = ()) -> int:
        """The seed of what a step draws while it computes."""
        return self._drawn("dropout", places_at(step, self.timetable, detours)).number

    def _drawn(self, name: str, places: range) -> Seed:
        return self.seed.child(name).child(f"place-{places.start}")
