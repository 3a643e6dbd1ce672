"""evals/baselines/xz: what a general compressor needs for new documents after it has seen the training documents.

bits of xz(train + scored) minus bits of xz(train), at preset 9 extreme with a dictionary that holds everything. Documents are
joined by an empty line, whose bytes are paid for but not counted as text. One archive has one size: no cost per document.
"""

import lzma
from collections.abc import Sequence
from typing import ClassVar

from whorl.evals.baselines import Baseline, Cost

__all__ = ["Xz"]

_JOIN = b"\n\n"
_MIN_DICTIONARY = 1 << 20


class Xz(Baseline):
    """Conditional compressed size."""

    definition: ClassVar[str] = (
        "xz(train + scored) - xz(train), preset 9 extreme, dictionary over all of both; documents joined by an empty line"
    )

    def cost(self, train: Sequence[bytes], scored: Sequence[bytes]) -> Cost:
        """See Baseline.cost. About 1 s per megabyte."""
        seen = b"".join(document + _JOIN for document in train)
        new = _JOIN.join(scored)
        dictionary = max(_MIN_DICTIONARY, 1 << (len(seen) + len(new)).bit_length())
        return Cost(8.0 * (_size(seen + new, dictionary) - _size(seen, dictionary)), None)


def _size(text: bytes, dictionary: int) -> int:
    chain = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": dictionary}]
    return len(lzma.compress(text, format=lzma.FORMAT_RAW, filters=chain))
