"""corpus/filters/gopher_quality: drop pages whose word statistics look unlike prose.

Rules and thresholds of https://arxiv.org/abs/2112.11446, appendix A.1.1. Meant for English, because of its stop words; does
not look at repetition or language.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

from pydantic import Field, model_validator

from whorl.corpus.document_batch import DocumentBatch
from whorl.corpus.filters import Filter
from whorl.corpus.verdict import Figure, Rule, numbers, ratio

__all__ = ["GopherQuality"]

_SHARED = (
    "num_words",
    "num_tokens",
    "num_word_chars",
    "num_alphabetic_words",
    "num_lines",
    "num_bullet_lines",
    "num_ellipsis_lines",
    "num_hashes",
    "num_ellipses",
)


class GopherQuality(Filter):
    """Defaults are the paper's. Ratios are per word; with `count_punctuation`, marks of punctuation are words in them."""

    measures: ClassVar[tuple[str, ...]] = ("stop_words",)

    min_words: int = Field(50, ge=0)
    max_words: int = Field(100_000, ge=1)
    min_mean_word_chars: float = Field(3.0, ge=0)
    max_mean_word_chars: float = Field(10.0, ge=0)
    max_hash_ratio: float = Field(0.1, ge=0)  # `#` signs per word
    max_ellipsis_ratio: float = Field(0.1, ge=0)
    max_bullet_lines: float = Field(0.9, ge=0, le=1)  # share of lines
    max_ellipsis_lines: float = Field(0.3, ge=0, le=1)
    min_alphabetic_words: float = Field(0.8, ge=0, le=1)  # share of words with a letter
    min_stop_words: int = Field(2, ge=0)  # different ones
    stop_words: tuple[str, ...] = ("the", "be", "to", "of", "and", "that", "have", "with")
    count_punctuation: bool = True  # the paper does not say; the implementation most in use does

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> Self:
        if self.min_words > self.max_words or self.min_mean_word_chars > self.max_mean_word_chars:
            raise ValueError("want min_words <= max_words and min_mean_word_chars <= max_mean_word_chars")
        if self.min_stop_words > len(self.stop_words):
            raise ValueError(f"min_stop_words={self.min_stop_words} cannot be met by {len(self.stop_words)} stop_words")
        return self

    def figures(self, batch: DocumentBatch) -> Mapping[str, Figure]:
        """See Filter.figures."""
        shared = {name: batch.texts.statistics[name] for name in _SHARED}
        return {**shared, "gopher_quality.stop_words": batch.texts.distinct_hits(self.stop_words)}

    def rules(self, figures: Mapping[str, Figure]) -> Sequence[Rule]:
        """See Filter.rules."""
        word = "num_tokens" if self.count_punctuation else "num_words"
        mean_chars = ratio(figures, "num_word_chars", "num_words")
        return [
            Rule("too_few_words", numbers(figures, "num_words"), at_least=self.min_words),
            Rule("too_many_words", numbers(figures, "num_words"), at_most=self.max_words),
            Rule("short_words", mean_chars, at_least=self.min_mean_word_chars),
            Rule("long_words", mean_chars, at_most=self.max_mean_word_chars),
            Rule("many_hashes", ratio(figures, "num_hashes", word), at_most=self.max_hash_ratio),
            Rule("many_ellipses", ratio(figures, "num_ellipses", word), at_most=self.max_ellipsis_ratio),
            Rule("bullet_lines", ratio(figures, "num_bullet_lines", "num_lines"), at_most=self.max_bullet_lines),
            Rule("ellipsis_lines", ratio(figures, "num_ellipsis_lines", "num_lines"), at_most=self.max_ellipsis_lines),
            Rule("few_alphabetic_words", ratio(figures, "num_alphabetic_words", word), at_least=self.min_alphabetic_words),
            Rule("few_stop_words", numbers(figures, "gopher_quality.stop_words"), at_least=self.min_stop_words),
        ]
