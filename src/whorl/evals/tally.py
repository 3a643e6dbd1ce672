"""evals/tally: one count of questions and documents over a whole exam, so that its progress and time left mean something."""

from dataclasses import dataclass

from whorl.core.events import Events

__all__ = ["Tally"]


@dataclass
class Tally:
    """Counts up to a total known before the exam begins."""

    events: Events
    total: int
    done: int = 0

    def add(self, count: int, *, doing: str) -> None:
        """So many more questions or documents are through."""
        self.done += count
        self.events.progress(self.done, self.total, "questions and documents", doing=doing)
