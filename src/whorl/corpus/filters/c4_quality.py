"""corpus/filters/c4_quality: drop pages with too little running text, or with signs of code or of a template.

A page is judged by the lines that C4 would keep (corpus/line_rules), whether or not the edit `c4_lines` took the others away.
Rules and thresholds of https://jmlr.org/papers/v21/20-074.html, section 2.2, without its list of bad words. Sentences are
counted by text/reference_lines; meant for languages that end them with a full stop.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from whorl.corpus.document_batch import DocumentBatch
from whorl.corpus.filters import Filter
from whorl.corpus.line_rules import KEPT, LineRules, judge_lines, without_citations
from whorl.corpus.verdict import Figure, Rule, numbers
from whorl.text.batch import TextBatch

__all__ = ["C4Quality"]

_FIGURES = ("sentences", "kept_lines", "kept_line_chars", "lorem_ipsum_lines", "curly_lines")


class C4Quality(Filter):
    """Defaults are the paper's. Sentences are those of the lines that `lines` keeps."""

    measures: ClassVar[tuple[str, ...]] = ("lines",)

    lines: LineRules = LineRules()
    min_sentences: int = Field(5, ge=0)
    max_lorem_ipsum_lines: int = Field(0, ge=0)
    max_curly_lines: int = Field(0, ge=0)  # lines with an opening curly bracket

    def figures(self, batch: DocumentBatch) -> Mapping[str, Figure]:
        """See Filter.figures."""
        table = _measured(batch.texts, self.lines)
        if not self.lines.citations:
            texts, num_marks = without_citations(batch.column("text"))
            rows = np.flatnonzero(num_marks)
            table[rows] = _measured(TextBatch(texts.take(pa.array(rows))), self.lines)
        return {f"{self.use}.{name}": np.ascontiguousarray(table[:, place]) for place, name in enumerate(_FIGURES)}

    def rules(self, figures: Mapping[str, Figure]) -> Sequence[Rule]:
        """See Filter.rules."""
        own = {name: numbers(figures, f"{self.use}.{name}") for name in _FIGURES}
        return [
            Rule("lorem_ipsum", own["lorem_ipsum_lines"], at_most=self.max_lorem_ipsum_lines),
            Rule("curly_bracket", own["curly_lines"], at_most=self.max_curly_lines),
            Rule("few_sentences", own["sentences"], at_least=self.min_sentences),
        ]


def _measured(batch: TextBatch, rules: LineRules) -> npt.NDArray[np.int64]:
    """Texts x _FIGURES."""
    judged, lines = judge_lines(batch, rules), batch.lines
    is_kept = judged.verdicts == KEPT
    columns = (lines.sentences * is_kept, is_kept, lines.chars * is_kept, judged.is_lorem_ipsum, judged.is_curly)
    return np.stack([lines.per_text(column) for column in columns], axis=1)
