"""train/schedules: the door of learning-rate schedules: pure functions of the step, as a fraction of the peak.

A schedule knows nothing of learning rates or optimizers; each optimizer multiplies its own peak rates by the fraction.

To add one, write a file here with one class deriving from Schedule (`factor`), and its test.
"""

from abc import abstractmethod

from whorl.core.config import Member

__all__ = ["Schedule"]


class Schedule(Member, is_door=True):
    """How the learning rate moves over a run of known length."""

    @abstractmethod
    def factor(self, step: int, num_steps: int) -> float:
        """Fraction of the peak rate used by optimizer step `step` (0-based, below `num_steps`); between 0 and 1."""
