"""corpus/filters/language: keep documents in some languages, by what their text is written in and not by what they claim.

The whole text is looked at. What was found goes to the ledger; the column `language` keeps what the source claimed. Close
languages are confused: who wants Croatian had better allow `bs` and `sr` too.
"""

from collections.abc import Mapping, Sequence

from pydantic import Field, field_validator

from whorl.core.errors import suggestion
from whorl.corpus.document_batch import DocumentBatch
from whorl.corpus.filters import Filter
from whorl.corpus.verdict import Choice, Figure, Rule, numbers
from whorl.text.language import UNKNOWN, known_languages, languages, primary_subtag

__all__ = ["Language"]


class Language(Filter):
    """Codes are primary subtags of BCP 47 (`en`, `zh`, `und` for not known); a mixed document counts as its largest."""

    allowed: tuple[str, ...] = ()  # empty: any
    # Share of the text in that language, halved where the detector is unsure; 0.65 is what FineWeb wants of its detector.
    min_confidence: float = Field(0.65, ge=0, le=1)

    @field_validator("allowed")
    @classmethod
    def _codes_are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        codes = tuple(UNKNOWN if tag == UNKNOWN else primary_subtag(tag) for tag in value)
        for tag, code in zip(value, codes, strict=True):
            if "-" in tag or code not in known_languages() or (code == UNKNOWN and tag != UNKNOWN):
                hint = suggestion(tag, sorted(known_languages()))
                raise ValueError(f"want codes like 'en' without script or region, got '{tag}'{hint}")
        return codes

    def figures(self, batch: DocumentBatch) -> Mapping[str, Figure]:
        """See Filter.figures."""
        found = languages(batch.column("text"))
        return {"language.code": found.codes, "language.confidence": found.confidences}

    def rules(self, figures: Mapping[str, Figure]) -> Sequence[Rule | Choice]:
        """See Filter.rules."""
        codes = figures["language.code"]
        other = [Choice("other_language", codes, allowed=frozenset(self.allowed))] if self.allowed else []
        return [*other, Rule("unsure_language", numbers(figures, "language.confidence"), at_least=self.min_confidence)]
