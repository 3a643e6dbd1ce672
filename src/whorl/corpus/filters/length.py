"""corpus/filters/length: drop texts that are too short or too long, in characters."""

from collections.abc import Mapping, Sequence
from typing import Self

from pydantic import Field, model_validator

from whorl.corpus.document_batch import DocumentBatch
from whorl.corpus.filters import Filter
from whorl.corpus.verdict import Figure, Rule, numbers

__all__ = ["Length"]


class Length(Filter):
    """Both bounds are allowed lengths."""

    min_chars: int = Field(1, ge=0)
    max_chars: int | None = Field(None, ge=0)  # None: no limit

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> Self:
        if self.max_chars is not None and self.max_chars < self.min_chars:
            raise ValueError(f"max_chars={self.max_chars} is below min_chars={self.min_chars}")
        return self

    def figures(self, batch: DocumentBatch) -> Mapping[str, Figure]:
        """See Filter.figures."""
        return {"num_chars": batch.texts.statistics["num_chars"]}

    def rules(self, figures: Mapping[str, Figure]) -> Sequence[Rule]:
        """See Filter.rules."""
        num_chars = numbers(figures, "num_chars")
        too_long = [] if self.max_chars is None else [Rule("too_long", num_chars, at_most=self.max_chars)]
        return [Rule("too_short", num_chars, at_least=self.min_chars), *too_long]
