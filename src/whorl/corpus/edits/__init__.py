"""corpus/edits: changes to the text itself, before anything is judged. A door.

An edit is idempotent, keeps the number and order of documents, and reports how many places it changed.

To add one, write a file here with one class deriving from Edit (`apply`), and its test.
"""

from abc import abstractmethod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from whorl.core.config import Member

__all__ = ["Edit", "Edited"]


class Edited(NamedTuple):
    """Texts after an edit, and how many spans of each were changed."""

    texts: pa.Array
    num_spans: npt.NDArray[np.int64]


class Edit(Member, is_door=True):
    """One way of cleaning text."""

    @abstractmethod
    def apply(self, texts: pa.Array) -> Edited:
        """Clean a batch (large strings, no nulls)."""
