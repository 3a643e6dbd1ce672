"""corpus/extract/main_content/figures: what a block of a page looks like by itself and beside its neighbours.

Counts and the last byte only; tags, names of classes and places are in corpus/extract/main_content/surroundings.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from whorl.text.html_blocks import Blocks
from whorl.text.html_scan import COUNTS

__all__ = ["column", "shifted", "text_figures"]

# Last bytes of what a sentence ends with: in ASCII (; ends an entity), and of closing quotes, the ellipsis and full-width
# marks.
_SENTENCE_ENDS = np.zeros(256, dtype=np.bool_)
_SENTENCE_ENDS[[*b'.!?:)";', 0xBB, 0x9D, 0x9C, 0xA6, 0x82, 0x81, 0x9F, 0x8D]] = True
_COLON = ord(":")
_NEIGHBOURS = (1, 2, -1, -2)


def column(blocks: Blocks, name: str) -> npt.NDArray[np.int64]:
    """One of the COUNTS of every block."""
    return blocks.counts[:, COUNTS.index(name)]


def shifted(values: npt.NDArray[np.float64], by: int) -> npt.NDArray[np.float64]:
    """The value `by` blocks earlier (later if negative), 0 beyond the ends."""
    moved = np.zeros(len(values))
    if by > 0:
        moved[by:] = values[:-by]
    else:
        moved[:by] = values[-by:]
    return moved


def text_figures(blocks: Blocks) -> Mapping[str, npt.NDArray[np.float64]]:
    """About thirty figures of each block, by name."""
    chars, words = column(blocks, "num_chars"), column(blocks, "num_words")
    ends, digits = column(blocks, "num_ends"), column(blocks, "num_digits") / chars
    link = blocks.link_chars / chars
    plain = np.log1p(chars - blocks.link_chars)
    is_sentence = _SENTENCE_ENDS[column(blocks, "last")]
    beside = {
        f"{name}{by:+d}": shifted(values, by) for by in _NEIGHBOURS for name, values in (("link", link), ("plain", plain))
    }
    return {
        "chars": np.log1p(chars),
        "plain": plain,
        "words": np.log1p(words),
        "link": link,
        "is_link": link > 0.6,
        "has_link": link > 0,
        "words<3": words < 3,
        "words<8": (words >= 3) & (words < 8),
        "words<20": (words >= 8) & (words < 20),
        "words>=40": words >= 40,
        "has_end": ends > 0,
        "ends": np.minimum(ends / np.maximum(words, 1), 1),
        "commas": np.log1p(column(blocks, "num_commas")),
        "digits": digits,
        "is_digits": digits > 0.25,
        "is_sentence": is_sentence,
        "is_long_sentence": is_sentence & (words >= 10),
        "is_colon": column(blocks, "last") == _COLON,
        "is_line": blocks.is_line,
        "place": np.arange(len(blocks)) / max(len(blocks), 1),
        **beside,
    }
