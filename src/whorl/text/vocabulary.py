"""text/vocabulary: which words of a short list a text holds, e.g. how many different stop words.

Words are compared by the lower-case hashes of text/words. One look-up a word; memory is the list's.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from whorl.core.kernels import ARRAYS_GIVEN, kernel
from whorl.text.words import Words, word_hash

__all__ = ["distinct_hits"]

_SLOTS_PER_WORD = 16  # one look-up in sixteen, or fewer, meets a word that is not the one it looks for


def distinct_hits(words: Words, vocabulary: Sequence[str]) -> npt.NDArray[np.int64]:
    """How many different words of a vocabulary each text holds, in any case. Each entry must be one word."""
    counts = np.zeros(len(words.first) - 1, dtype=np.int64)
    wanted = np.array(sorted({word_hash(word) for word in vocabulary}), dtype=np.uint64)
    if not len(wanted):
        return counts
    bits = max(1, (_SLOTS_PER_WORD * len(wanted) - 1).bit_length())
    table, seen_in = np.zeros(1 << bits, dtype=np.uint64), np.full(1 << bits, -1, dtype=np.int64)
    _count(words.hashes, words.first, wanted, (table, seen_in, np.uint64(64 - bits)), counts)
    return counts


@kernel(**ARRAYS_GIVEN)
def _count(hashes, first, wanted, known, counts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    table, seen_in, shift = known
    for code in wanted:
        table[_slot(code, table, shift)] = code
    for d in range(len(first) - 1):
        for i in range(first[d], first[d + 1]):
            slot = _slot(hashes[i], table, shift)
            is_new = (table[slot] != 0) & (seen_in[slot] != d)
            counts[d] += is_new
            seen_in[slot] = d


@kernel(**ARRAYS_GIVEN)
def _slot(code, table, shift):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Where a word stands in the table, or the free slot where it would."""
    slot = np.int64(code >> shift)
    while table[slot] != 0 and table[slot] != code:
        slot = (slot + 1) & (len(table) - 1)
    return slot
