"""corpus/slices: a shard in pieces small enough that the words and figures of one piece fit into memory."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["text_slices"]

SLICE_BYTES = 2_000_000  # of text: its words then stay in the cache until whoever asked has used them


def text_slices(table: pa.Table) -> Iterator[pa.Table]:
    """Slices of about SLICE_BYTES of text, at least one, in order; a larger text is a slice of its own."""
    ends = np.cumsum(pc.binary_length(table["text"]).to_numpy())
    begin = 0
    while begin < len(table) or begin == 0:
        before = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + SLICE_BYTES, side="right")))
        yield table.slice(begin, end - begin)
        begin = end
