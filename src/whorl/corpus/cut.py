"""corpus/cut: take spans out of some texts of a batch, and say in characters what was taken from where.

Texts without a span keep every byte. Does not decide what to cut.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from whorl.text.columns import TextBuffers, text_buffers

__all__ = ["Cuts", "char_places", "merged", "without"]


class Cuts(NamedTuple):
    """Spans of a batch's texts, ascending and disjoint; offsets are bytes in the batch's data."""

    texts: npt.NDArray[np.int64]  # number of the text
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    def per_text(self) -> Iterator[tuple[int, slice]]:
        """Each text that has spans, with the slice of its spans."""
        texts, first = np.unique(self.texts, return_index=True)
        bounds = [*first.tolist(), len(self.texts)]
        return ((text, slice(bounds[n], bounds[n + 1])) for n, text in enumerate(texts.tolist()))

    def num_bytes(self, count: int) -> npt.NDArray[np.int64]:
        """Bytes cut from each of `count` texts."""
        sizes = np.bincount(self.texts, weights=self.ends - self.starts, minlength=count)
        return sizes.astype(np.int64)


def merged(cuts: Cuts) -> Cuts:
    """The same bytes as fewest spans: whatever overlaps or touches within one text becomes one. Any order comes in."""
    order = np.lexsort((cuts.starts, cuts.texts))
    texts, starts, ends = (column[order] for column in cuts)
    if not len(texts):
        return Cuts(texts, starts, ends)
    reach = np.maximum.accumulate(ends)  # texts lie one after another, so one text's spans end before the next one's begin
    is_new = np.concatenate([[True], (texts[1:] != texts[:-1]) | (starts[1:] > reach[:-1])])
    last = np.concatenate([np.flatnonzero(is_new)[1:] - 1, [len(texts) - 1]])
    return Cuts(texts[is_new], starts[is_new], reach[last])


def without(texts: pa.Array, cuts: Cuts, *, joint: str = "") -> pa.Array:
    """The texts (large strings) without the spans, `joint` between what is left on both sides of one.

    A text that lost a span also loses the white space at its own end, and around every joint.
    """
    data, offsets = text_buffers(texts)
    rows, replaced = [], []
    for text, own in cuts.per_text():
        bounds = np.concatenate([offsets[text : text + 1], _interleaved(cuts, own), offsets[text + 1 : text + 2]])
        pieces = [bytes(data[bounds[n] : bounds[n + 1]]).decode() for n in range(0, len(bounds), 2)]
        rows.append(text)
        replaced.append(_joined(pieces, joint))
    mask = np.zeros(len(texts), dtype=np.bool_)
    mask[rows] = True
    return pc.replace_with_mask(texts, pa.array(mask), pa.array(replaced, pa.large_string()))


def char_places(buffers: TextBuffers, cuts: Cuts) -> Cuts:
    """The same spans with offsets in characters of their own text."""
    data, offsets = buffers
    places = Cuts(cuts.texts, np.zeros_like(cuts.starts), np.zeros_like(cuts.ends))
    for text, own in cuts.per_text():
        begin = offsets[text]
        before = np.cumsum((data[begin : offsets[text + 1]] & 0xC0) != 0x80)  # characters begun up to and with each byte
        before = np.concatenate([[0], before])
        places.starts[own] = before[cuts.starts[own] - begin]
        places.ends[own] = before[cuts.ends[own] - begin]
    return places


def _interleaved(cuts: Cuts, own: slice) -> npt.NDArray[np.int64]:
    return np.stack([cuts.starts[own], cuts.ends[own]], axis=1).reshape(-1)


def _joined(pieces: list[str], joint: str) -> str:
    if not joint:
        return "".join(pieces).rstrip()
    return joint.join(stripped for piece in pieces if (stripped := piece.strip()))
