"""corpus/dedup/minhash: copies are texts whose word shingles overlap, judged from MinHash signatures in bands.

With the default 14 bands of 8 rows a pair of similarity 0.9 is compared with probability over 99.9 %, of 0.7 with 56 %;
compared pairs count when their estimated similarity reaches the threshold. The counts of the stage say what both hurdles leave
for the settings chosen (`minhash.recall_at_0.8` ...). Texts without words resemble nothing.
"""

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from whorl.corpus.dedup import Banding, Dedup
from whorl.text.batch import TextBatch
from whorl.text.lsh import linked_pairs, recall_curve
from whorl.text.minhash import CODE, signatures

__all__ = ["Minhash"]


class Minhash(Dedup):
    """Similar texts. Case and punctuation do not count."""

    signs: ClassVar[tuple[str, ...]] = ("permutations", "shingle_words")
    code: ClassVar[int] = CODE

    permutations: int = Field(112, ge=1)
    bands: int = Field(14, ge=1)
    shingle_words: int = Field(5, ge=1)
    threshold: float = Field(0.7, ge=0, le=1)  # estimated Jaccard similarity of shingles

    @model_validator(mode="after")
    def _bands_fit(self) -> Self:
        if self.permutations % self.bands:
            raise ValueError(f"permutations={self.permutations} must be a multiple of bands={self.bands}")
        return self

    def sign(self, batch: TextBatch) -> npt.NDArray[np.uint32]:
        """See Dedup.sign."""
        return signatures(batch.words, self.permutations, shingle_words=self.shingle_words)

    def links(self, signatures: npt.NDArray[np.uint32], keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """See Dedup.links."""
        return linked_pairs(signatures, keys, bands=self.bands, threshold=self.threshold)

    def banding(self) -> Banding:
        """See Dedup.banding."""
        return Banding(self.bands, self.threshold)

    def promises(self) -> Mapping[str, float]:
        """See Dedup.promises: the probability that a pair of each true similarity is linked, both hurdles counted."""
        curve = recall_curve(self.bands, self.permutations // self.bands, self.threshold)
        return {f"recall_at_{similarity:g}": round(recall, 4) for similarity, recall in curve.items()}
