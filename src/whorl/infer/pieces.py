"""infer/pieces: what a pass of the model is given: tokens of one request that follow one another."""

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Piece"]


class Piece(NamedTuple):
    """Tokens of one request."""

    ids: Sequence[int]
    start: int  # place of the first in its request; what stands before it is in the pages
    blocks: Sequence[int]  # the request's pages, enough for the last

    @property
    def end(self) -> int:
        """One past the last place."""
        return self.start + len(self.ids)
