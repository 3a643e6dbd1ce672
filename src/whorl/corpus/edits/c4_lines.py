"""corpus/edits/c4_lines: take away the lines of a page that are no running text, as C4 did: menus, captions, notices.

What stays are lines that end like sentences and have a few words (corpus/line_rules), without citation marks and outer blanks.
Blank lines go too, so paragraphs are no longer set apart. Drops no page: the filter `c4_quality` judges what remains.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from whorl.corpus.edits import Edit, Edited
from whorl.corpus.line_rules import KEPT, LineRules, Uncited, judge_lines, without_citations
from whorl.text.batch import TextBatch

__all__ = ["C4Lines"]


class C4Lines(Edit):
    """Only lines of running text. A taken line or citation mark is one span; outer blanks alone are one in all."""

    lines: LineRules = LineRules()

    def apply(self, texts: pa.Array) -> Edited:
        """See Edit.apply."""
        bare = Uncited(texts, np.zeros(len(texts), dtype=np.int64)) if self.lines.citations else without_citations(texts)
        batch = TextBatch(bare.texts)
        is_kept = judge_lines(batch, self.lines).verdicts == KEPT
        cleaned = pa.array(_joined(batch, is_kept), pa.large_string())
        num_spans = bare.num_marks + batch.lines.per_text(~is_kept)
        is_changed = pc.not_equal(cleaned, texts).to_numpy(zero_copy_only=False)
        return Edited(cleaned, np.where(is_changed, np.maximum(num_spans, 1), 0))


def _joined(batch: TextBatch, is_kept: np.ndarray) -> list[str]:
    """The kept lines of each text, without outer blanks, one after another."""
    first, starts, ends = batch.lines.first, batch.lines.starts, batch.lines.ends
    data = memoryview(batch.buffers.data.data)
    chosen = np.flatnonzero(is_kept)
    bounds = np.searchsorted(chosen, first).tolist()
    spans = list(zip(starts[chosen].tolist(), ends[chosen].tolist(), strict=True))
    pieces = [str(data[start:end], "utf-8").strip() for start, end in spans]
    return ["\n".join(pieces[bounds[i] : bounds[i + 1]]) for i in range(len(batch))]
