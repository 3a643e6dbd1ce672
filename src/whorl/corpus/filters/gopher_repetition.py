"""corpus/filters/gopher_repetition: drop pages that repeat themselves: lines, paragraphs, n-grams of words.

Rules and thresholds of https://arxiv.org/abs/2112.11446, appendix A.1.1 and table A1; shares of characters are of the whole
text. As in the implementation most in use, punctuation counts as words in n-grams, and a text in which no n-gram repeats has a
commonest one all the same, so very short texts are dropped.
"""

from collections.abc import Mapping, Sequence
from typing import Self

from pydantic import Field, model_validator

from whorl.corpus.document_batch import DocumentBatch
from whorl.corpus.filters import Filter
from whorl.corpus.verdict import Figure, Rule, numbers, ratio
from whorl.text.repetition import DUPLICATE_NGRAMS, LINE_REPETITION, NGRAM_REPETITION, TOP_NGRAMS

__all__ = ["GopherRepetition"]


class GopherRepetition(Filter):
    """Defaults are the paper's; every threshold is a share."""

    max_duplicate_lines: float = Field(0.30, ge=0, le=1)  # of lines with something in them
    max_duplicate_line_chars: float = Field(0.20, ge=0, le=1)
    max_duplicate_paragraphs: float = Field(0.30, ge=0, le=1)  # of paragraphs; a line without characters ends one
    max_duplicate_paragraph_chars: float = Field(0.20, ge=0, le=1)
    max_top_ngram_chars: tuple[float, ...] = (0.20, 0.18, 0.16)  # of the commonest 2-, 3- and 4-gram
    max_duplicate_ngram_chars: tuple[float, ...] = (0.15, 0.14, 0.13, 0.12, 0.11, 0.10)  # of 5- to 10-grams seen before

    @model_validator(mode="after")
    def _one_threshold_per_length(self) -> Self:
        for name, lengths in (("max_top_ngram_chars", TOP_NGRAMS), ("max_duplicate_ngram_chars", DUPLICATE_NGRAMS)):
            if len(getattr(self, name)) != len(lengths):
                wanted = f"{len(lengths)} thresholds, for n-grams of {lengths[0]} to {lengths[-1]} words"
                raise ValueError(f"{name}: want {wanted}, got {len(getattr(self, name))}")
        return self

    def figures(self, batch: DocumentBatch) -> Mapping[str, Figure]:
        """See Filter.figures."""
        return {name: batch.texts.statistics[name] for name in ("num_chars", *LINE_REPETITION, *NGRAM_REPETITION)}

    def rules(self, figures: Mapping[str, Figure]) -> Sequence[Rule]:
        """See Filter.rules."""
        paragraphs = ratio(figures, "num_duplicate_paragraphs", "num_paragraphs")
        lines = ratio(figures, "num_duplicate_lines", "num_text_lines")
        rules = [
            Rule("empty", numbers(figures, "num_chars"), at_least=1),
            Rule("duplicate_paragraphs", paragraphs, at_most=self.max_duplicate_paragraphs),
            _share(figures, "duplicate_paragraph_chars", self.max_duplicate_paragraph_chars),
            Rule("duplicate_lines", lines, at_most=self.max_duplicate_lines),
            _share(figures, "duplicate_line_chars", self.max_duplicate_line_chars),
        ]
        rules += [
            _share(figures, f"top_{n}gram_chars", most) for n, most in zip(TOP_NGRAMS, self.max_top_ngram_chars, strict=True)
        ]
        long = zip(DUPLICATE_NGRAMS, self.max_duplicate_ngram_chars, strict=True)
        return rules + [_share(figures, f"duplicate_{n}gram_chars", most) for n, most in long]


def _share(figures: Mapping[str, Figure], name: str, at_most: float) -> Rule:
    """A rule on `num_<name>` as a share of the text's characters."""
    return Rule(name, ratio(figures, f"num_{name}", "num_chars"), at_most=at_most)
