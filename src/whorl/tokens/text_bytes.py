"""tokens/text_bytes: which bytes of UTF-8 text ids spell and how many, without spelling them where a table can tell.

Special ids spell nothing. Of a vocabulary that does not keep every byte of a text, they are those of what its ids decode to.
"""

from itertools import pairwise

import numpy as np

from whorl.core.errors import DataError
from whorl.tokens.tokenizer import VOCABULARY_FILE, EncodedColumn, Tokenizer
from whorl.tokens.vocabulary import CONTINUES, Vocabulary, as_bytes

__all__ = ["TextBytes"]

_UNKNOWN = -1


class TextBytes:
    """Counts for one tokenizer; makes its table once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Reads the vocabulary."""
        self._tokenizer = tokenizer
        self._vocabulary = Vocabulary.parse(tokenizer.files[VOCABULARY_FILE], "tokenizer")
        self._special = np.array(sorted(self._vocabulary.special.values()), np.int64)
        self._sizes = _sizes(self._vocabulary, tokenizer.size)

    @property
    def spelled(self) -> tuple[bytes, ...] | None:
        """The bytes that each id decodes to, those of special ids too, so that an answer can be read while it is made.

        Ids that mean nothing have none. None where an id's bytes depend on the ids around it.
        """
        if not self._tokenizer.lossless:
            return None
        found = [b""] * self._tokenizer.size
        for piece, number in self._vocabulary.pieces.items():
            found[number] = _bytes_of(piece)
        for token in self._vocabulary.added:
            letters = as_bytes(token["content"])
            found[token["id"]] = token["content"].encode() if letters is None else letters
        return tuple(found)

    @property
    def by_id(self) -> np.ndarray | None:
        """Bytes that each id spells, int64; None where that depends on the ids around it. Ids that mean nothing spell none."""
        return np.maximum(self._sizes, 0) if self._tokenizer.lossless else None

    def of(self, encoded: EncodedColumn) -> np.ndarray:
        """Bytes of every document, int64. Raises DataError for an id that means nothing in this vocabulary."""
        ids = encoded.ids.astype(np.int64)
        self._check(ids)
        if not self._tokenizer.lossless:
            is_text = ~np.isin(ids, self._special)
            spans = pairwise(encoded.offsets.tolist())
            texts = (self._tokenizer.decode(ids[left:right][is_text[left:right]]) for left, right in spans)
            return np.array([len(text.encode()) for text in texts], np.int64)
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(self._sizes[ids])])
        bytes_of: np.ndarray = ends[encoded.offsets[1:]] - ends[encoded.offsets[:-1]]
        return bytes_of

    def num_special(self, encoded: EncodedColumn) -> int:
        """Special ids among these, which text can never hold."""
        return int(np.isin(encoded.ids, self._special).sum())

    def _check(self, ids: np.ndarray) -> None:
        wrong = ids[ids >= len(self._sizes)]
        if not wrong.size:
            wrong = ids[self._sizes[ids] == _UNKNOWN]
        if wrong.size:
            raise DataError(
                f"id {int(wrong[0])} is outside the vocabulary of {len(self._sizes)}; was it made by another tokenizer?"
            )


def _sizes(vocabulary: Vocabulary, size: int) -> np.ndarray:
    """Bytes an id spells, by id; of a vocabulary that is not byte-level, only whether the id is known."""
    sizes = np.full(size, _UNKNOWN, np.int64)
    for piece, number in vocabulary.pieces.items():
        sizes[number] = len(_bytes_of(piece))
    for token in vocabulary.plain_added:
        sizes[token["id"]] = len(token["content"].encode())
    sizes[list(vocabulary.special.values())] = 0
    return sizes


def _bytes_of(piece: str) -> bytes:
    """What a piece spells; nothing for one that is not written in bytes."""
    return as_bytes(piece.removeprefix(CONTINUES)) or b""
