"""corpus/edits/mojibake: repair text that was written in UTF-8 and read in another encoding, or the other way round.

The repair is ftfy's, of encodings only: quotes, entities, widths and normal form stay as they are (see `unicode`). Clean text
costs one compiled search; a text with characters that broken text has costs ftfy's own, and only what that finds is repaired.
Speer 2019, https://doi.org/10.5281/zenodo.2591652.
"""

from typing import Final

import ftfy
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ftfy.badness import is_bad

from whorl.corpus.edits import Edit, Edited

__all__ = ["Mojibake"]

# What ftfy calls bad holds one of these: a control character of Latin-1, two neighbours outside ASCII, or a letter that stands
# alone as the remains of a character (A with circumflex or tilde, the ligature oe). RE2.
_MAY_BE_BROKEN: Final = r"[\x{80}-\x{9f}]|[^\x00-\x7f]{2}|[\x{c2}\x{c3}\x{152}\x{153}]"
_REPAIR: Final = ftfy.TextFixerConfig(
    unescape_html=False,
    remove_terminal_escapes=False,
    fix_encoding=True,
    restore_byte_a0=True,
    replace_lossy_sequences=True,
    decode_inconsistent_utf8=True,
    fix_c1_controls=True,
    fix_latin_ligatures=False,
    fix_character_width=False,
    uncurl_quotes=False,
    fix_line_breaks=False,
    fix_surrogates=False,
    remove_control_chars=False,
    normalization=None,
)
_AT_LINE_START: Final = ("\n\u00c2 ", "\n\u00c3 ")  # bad there only; ftfy looks at one line at a time, `is_bad` at the whole
_MAX_ROUNDS: Final = 8  # text broken several times over is repaired as often; what never settles is left alone


class Mojibake(Edit):
    """Wrongly decoded text becomes what it was. Each line that changes is a span."""

    def apply(self, texts: pa.Array) -> Edited:
        """See Edit.apply."""
        num_spans = np.zeros(len(texts), dtype=np.int64)
        suspects = pc.indices_nonzero(pc.match_substring_regex(texts, _MAY_BE_BROKEN)).to_pylist()
        repaired = {row: _repaired(texts[row].as_py()) for row in suspects}
        changed = {row: text for row, text in repaired.items() if text != texts[row].as_py()}
        if not changed:
            return Edited(texts, num_spans)
        for row, text in changed.items():
            num_spans[row] = _changed_lines(texts[row].as_py(), text)
        mask = np.zeros(len(texts), dtype=np.bool_)
        mask[list(changed)] = True
        return Edited(pc.replace_with_mask(texts, pa.array(mask), pa.array(changed.values(), texts.type)), num_spans)


def _repaired(text: str) -> str:
    """The text after as many repairs as it takes until another changes nothing."""
    if not (is_bad(text) or any(mark in text for mark in _AT_LINE_START)):
        return text
    found = text
    for _ in range(_MAX_ROUNDS):
        again = ftfy.fix_text(found, _REPAIR)
        if again == found:
            return found
        found = again
    return text


def _changed_lines(before: str, after: str) -> int:
    """Lines that differ; at least one."""
    pairs = zip(before.split("\n"), after.split("\n"), strict=False)
    return max(1, sum(left != right for left, right in pairs))
