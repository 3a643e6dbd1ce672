"""measure/metrics/exact_match: 1 when the answer is one of the references after trimming outer white space, else 0.

Case, inner spaces and punctuation count: a prefix of a reference, or a reference with a word more, is wrong.
"""

from collections.abc import Sequence

from whorl.measure.metrics import Metric

__all__ = ["ExactMatch"]


class ExactMatch(Metric):
    """Equality after trimming."""

    def score(self, answer: str, references: Sequence[str]) -> float:
        """1.0 or 0.0."""
        return float(answer.strip() in {reference.strip() for reference in references})
