"""corpus/dedup: which documents are copies of one another. A door.

Signing is a map step (per document, kept per shard); linking is the global step over signatures. Links do not depend on the
order of documents. Which copy is kept is the stage's rule, not the member's. Signatures of a finished corpus lie beside its
documents, so that a later corpus can be compared with it without reading it again.

To add one, write a file here with one class deriving from Dedup (`signs`, `sign`, `links`, `banding`), and its test.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from whorl.core.canonical import plain
from whorl.core.config import Member
from whorl.text.batch import TextBatch

__all__ = ["Banding", "Dedup"]


class Banding(NamedTuple):
    """How two corpora are compared: equal in one of `bands` equal bands, and in at least a share `threshold` of all entries."""

    bands: int
    threshold: float


class Dedup(Member, is_door=True):
    """One meaning of "the same document"."""

    signs: ClassVar[tuple[str, ...]] = ()  # fields that `sign` reads; the others say what counts as close
    code: ClassVar[int] = 1  # raise it when the same text would get another signature

    @abstractmethod
    def sign(self, batch: TextBatch) -> npt.NDArray[np.uint32]:
        """A signature per text, texts x a fixed width."""

    @abstractmethod
    def links(self, signatures: npt.NDArray[np.uint32], keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Pairs of rows (pairs x 2) that are copies. `keys` name the rows independently of their order."""

    @abstractmethod
    def banding(self) -> Banding:
        """The same judgement in a form that an index of another corpus can answer."""

    def promises(self) -> Mapping[str, float]:
        """What the settings come to, e.g. how probably a pair of some similarity is found; goes to the stage's counts."""
        return {}

    def signed_by(self) -> dict[str, Any]:
        """What signatures depend on, as plain values: equal for two members whose signatures may be compared."""
        own = {name: plain(getattr(self, name), hashed_only=True) for name in self.signs}
        return {"use": self.use, "code": self.code, **own}
