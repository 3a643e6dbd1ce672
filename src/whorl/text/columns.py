"""text/columns: the bytes and offsets under an Arrow column of texts, as read-only numpy views.

Read-only on purpose: a kernel compiled for one kind of array serves all. Owns no memory; the column must outlive the views.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

__all__ = ["TextBuffers", "text_buffers", "text_digests", "text_keys"]


class TextBuffers(NamedTuple):
    """UTF-8 of all texts end to end: text i is `data[offsets[i]:offsets[i + 1]]`."""

    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]  # one more than texts


def text_buffers(texts: pa.ChunkedArray | pa.Array) -> TextBuffers:
    """Views of a string column. Copies only when the column is chunked or has 32-bit offsets. A null counts as empty."""
    array = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    if not pa.types.is_large_string(array.type):
        array = array.cast(pa.large_string())
    _, offsets, data = array.buffers()
    starts = np.zeros(1, dtype=np.int64)
    if offsets is not None and offsets.size:
        starts = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    letters = np.zeros(0, dtype=np.uint8) if data is None else np.frombuffer(data, dtype=np.uint8)
    return TextBuffers(_frozen(letters), _frozen(starts))


def text_digests(texts: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.uint32]:
    """128-bit xxh3 of each text's bytes, texts x 4. Equal texts have equal rows; different ones do not, in practice."""
    digests = [xxhash.xxh3_128_digest(view) for view in _views(texts)]
    return np.frombuffer(b"".join(digests), dtype=">u4").astype(np.uint32).reshape(-1, 4)


def text_keys(texts: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.uint64]:
    """64-bit xxh3 of each text's bytes: a short name for an id or a group, the same on every machine."""
    return np.array([xxhash.xxh3_64_intdigest(view) for view in _views(texts)], dtype=np.uint64)


def _views(texts: pa.ChunkedArray | pa.Array) -> Iterator[memoryview]:
    data, offsets = text_buffers(texts)
    whole = memoryview(data.data)
    return (whole[start:end] for start, end in pairwise(offsets.tolist()))


def _frozen(view: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = view.view()
    view.flags.writeable = False
    return view
