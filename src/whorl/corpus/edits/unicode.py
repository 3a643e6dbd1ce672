"""corpus/edits/unicode: one spelling for characters, line ends and blanks.

Newlines become one kind, control characters and byte order marks go, odd spaces become spaces, text becomes NFC, lines lose
trailing blanks and texts their outer blank lines. Indentation, tabs and wording stay; does not repair wrongly decoded text.
Unicode Standard Annex 15.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from whorl.corpus.edits import Edit, Edited

__all__ = ["Unicode"]


class _Replacement(NamedTuple):
    pattern: str  # RE2
    by: str


_CLEAN = (
    _Replacement(r"\r\n|[\r\x0b\x0c\x{85}\x{2028}\x{2029}]", "\n"),
    _Replacement(r"[\x00-\x08\x0e-\x1f\x7f-\x{84}\x{86}-\x{9f}\x{feff}]+", ""),
    _Replacement(r"[\x{a0}\x{1680}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}]", " "),
)
_TRIM = (
    _Replacement(r"[ \t]+\n", "\n"),
    _Replacement(r"\n{4,}", "\n\n\n"),
    _Replacement(r"\A\n+|[ \t\n]+\z", ""),
)


class Unicode(Edit):
    """NFC, no control characters, plain newlines and spaces."""

    def apply(self, texts: pa.Array) -> Edited:
        """See Edit.apply. A change of normal form counts as one span."""
        num_spans = np.zeros(len(texts), dtype=np.int64)
        for replacement in _CLEAN:
            texts = _replaced(texts, replacement, num_spans)
        normal = pc.utf8_normalize(texts, form="NFC")
        num_spans += pc.not_equal(normal, texts).to_numpy(zero_copy_only=False)
        for replacement in _TRIM:
            normal = _replaced(normal, replacement, num_spans)
        return Edited(normal, num_spans)


def _replaced(texts: pa.Array, replacement: _Replacement, num_spans: np.ndarray) -> pa.Array:
    """The texts with every match replaced, adding the number of matches to `num_spans`."""
    hits = pc.count_substring_regex(texts, replacement.pattern).to_numpy(zero_copy_only=False)
    if not hits.any():
        return texts
    num_spans += hits
    return pc.replace_substring_regex(texts, replacement.pattern, replacement.by)
