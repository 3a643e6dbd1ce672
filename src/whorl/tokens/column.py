"""tokens/column: a column of texts as a column of ids, by the reference: the library `tokenizers`.

What any faster way must equal (tokens/fast). No text ever becomes a special id here.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import tokenizers

from whorl.core.errors import DataError

__all__ = ["EncodedColumn", "checked", "encode_by_reference", "joined", "text_column"]

_TEXTS_AT_ONCE: Final = 1024  # bounds the memory of Encoding objects, about 100 bytes a token, while a batch is encoded


class EncodedColumn(NamedTuple):
    """Texts as ids, one after another: text i is `ids[offsets[i]:offsets[i + 1]]`."""

    ids: np.ndarray  # uint32
    offsets: np.ndarray  # int64, one more than there are texts; the first is 0


def text_column(texts: Sequence[str]) -> pa.Array:
    """Texts as a column. Raises DataError, naming the text, for what is no string or holds a lone surrogate."""
    if not all(isinstance(text, str) for text in texts):  # pyarrow would take bytes, and None for a null
        raise _not_unicode(texts)
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError as error:
        raise _not_unicode(texts) from error


def checked(texts: pa.Array) -> pa.Array:
    """The column as one array of large strings. Raises DataError for a null and for bytes that are no UTF-8."""
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        raise DataError(f"a column of {texts.type}; want strings")
    if texts.null_count:
        raise DataError(f"{texts.null_count} of {len(texts)} texts are null; want strings")
    try:
        texts.validate(full=True)  # Parquet readers take bytes as they are
    except pa.ArrowInvalid as error:
        raise DataError(f"one of {len(texts)} texts is not UTF-8 ({error}); decode the source again") from error
    return texts.cast(pa.large_string())


def encode_by_reference(backend: tokenizers.Tokenizer, texts: Sequence[str]) -> EncodedColumn:
    """Ids of texts, on all cores. Raises DataError for a lone surrogate, and for a text that the vocabulary cannot write."""
    arrays = list(_encoded(backend, texts))
    return joined(arrays)


def joined(arrays: Sequence[np.ndarray]) -> EncodedColumn:
    """Ids of single texts as one column."""
    lengths = np.fromiter(map(len, arrays), np.int64, len(arrays))
    ids = np.concatenate([np.empty(0, np.uint32), *arrays]).astype(np.uint32, copy=False)
    return EncodedColumn(ids, np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]))


def _encoded(backend: tokenizers.Tokenizer, texts: Sequence[str]) -> Iterator[np.ndarray]:
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        chunk = texts[start : start + _TEXTS_AT_ONCE]
        try:
            encodings = backend.encode_batch_fast(chunk, add_special_tokens=False)
        except Exception as error:  # the library raises nothing narrower
            raise _not_unicode(chunk, str(error)) from error
        for encoding in encodings:
            yield np.array(encoding.ids, dtype=np.uint32)


def _not_unicode(texts: Sequence[object], why: str = "") -> DataError:
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            return DataError(f"text {number} of {len(texts)}: want a string, got {type(text).__name__}")
        for place, character in enumerate(text):
            if "\ud800" <= character <= "\udfff":
                return DataError(
                    f"text {number} of {len(texts)}: character {place} is the lone surrogate U+{ord(character):04X}, "
                    "which no UTF-8 text holds; decode the source again with errors='replace'"
                )
    return DataError(f"this vocabulary cannot write one of {len(texts)} texts ({why}); want one with a token for the unknown")
