"""corpus/line_rules: which lines of a page are running text, after C4: the edit that takes the others away and the filter that
judges a page by what would remain share these rules.

Raffel et al. 2020, https://jmlr.org/papers/v21/20-074.html, section 2.2, and the code published with it, which also drops lines
about cookies and terms of use and takes citation marks out. Works on lines, never on sentences inside them.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from whorl.core.config import Config
from whorl.text.batch import TextBatch
from whorl.text.lines import CURLY, ELLIPSIS, JAVASCRIPT, LOREM_IPSUM, POLICY, has_long_word

__all__ = ["KEPT", "REASONS", "LineRules", "Uncited", "judge_lines", "without_citations"]

# A line's verdict is the first of these that holds.
KEPT: Final = 0
REASONS = ("long_word", "no_end_mark", "few_words", "javascript", "policy")
_LONG_WORD, _NO_END_MARK, _FEW_WORDS, _JAVASCRIPT, _POLICY = range(1, len(REASONS) + 1)

_CITATION = r"\[(?:[0-9]*|edit|citation needed)\]"


class LineRules(Config):
    """The defaults are the published ones."""

    max_word_chars: int = Field(1000, ge=1)
    end_marks: str = ".?!\"'"  # the paper names the first four; an ellipsis is none of them
    min_words: int = Field(3, ge=0)  # stretches without white space
    javascript: bool = False  # whether lines may mention it
    policy: bool = False  # whether lines may speak of cookies, privacy policy or terms of use
    citations: bool = False  # whether marks such as [12] and [edit] may stay


class Uncited(NamedTuple):
    """Texts without citation marks, and how many each had."""

    texts: pa.Array
    num_marks: npt.NDArray[np.int64]


def without_citations(texts: pa.Array) -> Uncited:
    """Take citation marks out, also those that only taking one out makes."""
    num_marks = np.zeros(len(texts), dtype=np.int64)
    while (found := pc.count_substring_regex(texts, _CITATION).to_numpy(zero_copy_only=False)).any():
        num_marks += found
        texts = pc.replace_substring_regex(texts, _CITATION, "")
    return Uncited(texts, num_marks)


class JudgedLines(NamedTuple):
    """A verdict for each of `batch.lines`, and which of them speak against the whole page."""

    verdicts: npt.NDArray[np.uint8]  # KEPT, or one more than a place in REASONS
    is_lorem_ipsum: npt.NDArray[np.bool_]
    is_curly: npt.NDArray[np.bool_]


def judge_lines(batch: TextBatch, rules: LineRules) -> JudgedLines:
    """Judge every line of texts without citations."""
    lines = batch.lines
    flags = lines.flags
    ends = np.array([ord(mark) for mark in rules.end_marks], dtype=np.uint32)
    tests = [
        (_LONG_WORD, has_long_word(batch.buffers, lines, rules.max_word_chars)),
        (_NO_END_MARK, ~np.isin(lines.last, ends) | (flags & ELLIPSIS != 0)),
        (_FEW_WORDS, lines.words < rules.min_words),
        (_JAVASCRIPT, (flags & JAVASCRIPT != 0) & (not rules.javascript)),
        (_POLICY, (flags & POLICY != 0) & (not rules.policy)),
    ]
    verdicts = np.zeros(len(flags), dtype=np.uint8)
    for code, is_bad in tests:
        verdicts[(verdicts == KEPT) & is_bad] = code
    # As published: only lines that came so far can damn the page, so a script without sentences does not.
    is_read = (verdicts == KEPT) | (verdicts == _POLICY)
    return JudgedLines(
        verdicts, (is_read | (verdicts == _JAVASCRIPT)) & (flags & LOREM_IPSUM != 0), is_read & (flags & CURLY != 0)
    )
