"""corpus/filters/quality: keep documents that a classifier of the user's own finds likely to be of the wanted kind.

The classifier is an artifact of `corpus.learn_quality`, whose report shows what each threshold keeps and which words decide.
None is shipped: what counts as quality is a choice, and belongs in the recipe.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from whorl.core.config import Ref
from whorl.corpus.document_batch import DocumentBatch
from whorl.corpus.filters import Filter
from whorl.corpus.verdict import Figure, Rule, numbers
from whorl.text.linear import LinearClassifier

__all__ = ["Quality"]


class Quality(Filter):
    """A document stays when its score is `min_score` or more."""

    measures: ClassVar[tuple[str, ...]] = ("model",)

    model: Ref[Literal["classifier"]]
    min_score: float = Field(0.5, ge=0, le=1)  # probability of being a positive; see the classifier's report.json

    def figures(self, batch: DocumentBatch) -> Mapping[str, Figure]:
        """See Filter.figures. Raises DataError when the artifact is not a classifier of this version."""
        return {"quality.score": _loaded(batch.folders[self.model.target]).scores(batch.texts)}

    def rules(self, figures: Mapping[str, Figure]) -> Sequence[Rule]:
        """See Filter.rules."""
        return [Rule("low_quality", numbers(figures, "quality.score"), at_least=self.min_score)]


@lru_cache(maxsize=4)
def _loaded(folder: Path) -> LinearClassifier:
    return LinearClassifier.load(folder)  # a finished artifact never changes
