"""corpus/dedup/exact: copies are texts with the same bytes (after edits), compared by 128-bit xxh3."""

import numpy as np
import numpy.typing as npt

from whorl.corpus.dedup import Banding, Dedup
from whorl.text.batch import TextBatch
from whorl.text.columns import text_digests

__all__ = ["Exact"]


class Exact(Dedup):
    """Equal texts."""

    def sign(self, batch: TextBatch) -> npt.NDArray[np.uint32]:
        """See Dedup.sign."""
        return text_digests(batch.texts)

    def links(self, signatures: npt.NDArray[np.uint32], keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """See Dedup.links: each copy with the next one of the same text, by key."""
        order = np.lexsort((keys, *signatures.T))
        is_same = (signatures[order[1:]] == signatures[order[:-1]]).all(axis=1)
        return np.stack([order[:-1][is_same], order[1:][is_same]], axis=1)

    def banding(self) -> Banding:
        """See Dedup.banding."""
        return Banding(1, 1.0)
