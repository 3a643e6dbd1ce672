"""evals/suites: the door of examinations that are no list of questions: one file each, models and baselines side by side.

To add one, write a file here with one class deriving from Suite (`examine`), and its test.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from whorl.core.config import Member
from whorl.core.seed import Seed
from whorl.evals.examinee import Examinee
from whorl.evals.figures import Section
from whorl.evals.tally import Tally

__all__ = ["Sitting", "Suite"]


@dataclass(frozen=True)
class Sitting:
    """What an examination is given besides the models."""

    folders: Mapping[str, Path]  # reference target -> finished folder
    seed: Seed
    tally: Tally


class Suite(Member, is_door=True):
    """Examines all models of an exam at once, so that baselines are measured once and beside them."""

    @abstractmethod
    def num_cases(self, num_models: int, folders: Mapping[str, Path]) -> int:
        """How much `examine` will add to the tally."""

    @abstractmethod
    def examine(self, models: Sequence[Examinee], sitting: Sitting) -> Section:
        """Figures of every model and baseline. Deterministic given the sitting's seed."""
