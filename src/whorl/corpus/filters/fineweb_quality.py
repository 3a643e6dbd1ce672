"""corpus/filters/fineweb_quality: drop pages that are lists, or whose lines do not end like sentences or repeat each other.

Rules and thresholds of https://arxiv.org/abs/2406.17557, section 3.6. Put the edit `unicode` first: a blank behind a full stop
hides it. The short-line rule is the published code's; the paper's text gives the same threshold.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from whorl.corpus.document_batch import DocumentBatch
from whorl.corpus.filters import Filter
from whorl.corpus.verdict import Figure, Rule, numbers, ratio
from whorl.text.lines import BLANK

__all__ = ["FinewebQuality"]

_SHARED = (
    "num_words",
    "num_tokens",
    "num_text_lines",
    "num_terminal_lines",
    "num_line_breaks",
    "num_line_chars",
    "num_duplicate_line_chars",
)


class FinewebQuality(Filter):
    """Defaults are the paper's. Lines have something in them; punctuation counts as words, as in the published code."""

    measures: ClassVar[tuple[str, ...]] = ("short_line_chars",)

    min_terminal_lines: float = Field(0.12, ge=0, le=1)  # share of lines that end in a sentence's last character
    short_line_chars: int = Field(30, ge=0)  # a line of so many characters is short
    max_short_lines: float = Field(0.67, ge=0, le=1)  # share of lines
    max_duplicate_line_chars: float = Field(0.01, ge=0, le=1)  # share of the characters of lines
    max_line_breaks: float = Field(0.3, ge=0)  # per word
    count_punctuation: bool = True  # as words

    def figures(self, batch: DocumentBatch) -> Mapping[str, Figure]:
        """See Filter.figures."""
        lines = batch.texts.lines
        is_short = (lines.chars <= self.short_line_chars) & (lines.flags & BLANK == 0)
        shared = {name: batch.texts.statistics[name] for name in _SHARED}
        return {**shared, f"{self.use}.short_lines": lines.per_text(is_short)}

    def rules(self, figures: Mapping[str, Figure]) -> Sequence[Rule]:
        """See Filter.rules."""
        short = f"{self.use}.short_lines"
        word = "num_tokens" if self.count_punctuation else "num_words"
        terminal = ratio(figures, "num_terminal_lines", "num_text_lines")
        duplicate = ratio(figures, "num_duplicate_line_chars", "num_line_chars")
        breaks = np.where(
            numbers(figures, word) > 0, ratio(figures, "num_line_breaks", word), numbers(figures, "num_line_breaks")
        )
        return [
            Rule("no_lines", numbers(figures, "num_text_lines"), at_least=1),
            Rule("few_terminal_lines", terminal, at_least=self.min_terminal_lines),
            Rule("short_lines", ratio(figures, short, "num_text_lines"), at_most=self.max_short_lines),
            Rule("duplicate_lines", duplicate, at_most=self.max_duplicate_line_chars),
            Rule("many_line_breaks", breaks, at_most=self.max_line_breaks),
        ]
