"""model/seen: masks as loops read them: before the bytes of each row, the first column that it sees and the last.

So a loop knows where to begin and to stop without looking at what lies outside. Does not decide who sees whom: model/mask does.
"""

from typing import Final

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from whorl.model.team import inline

__all__ = ["EDGES", "bytes_seen", "first_seen", "has_holes", "last_seen", "seen_bytes"]

EDGES: Final = 12  # bytes before each row of a mask: the first column seen, the last, and how many are, int32 each


def seen_bytes(seen: Bool[Tensor, "b t s"]) -> UInt8[Tensor, "b t w"]:
    """A mask (b or 1, t, s) as loops read it: the first and last column that each row sees and how many, then a
    byte for each."""
    columns = torch.arange(seen.shape[-1], dtype=torch.int32)
    first = torch.where(seen, columns, seen.shape[-1]).amin(-1, keepdim=True)
    last = torch.where(seen, columns, -1).amax(-1, keepdim=True)
    edges = torch.cat([first, last, seen.sum(-1, keepdim=True)], dim=-1).to(torch.int32)
    return torch.cat([edges.view(torch.uint8), seen.to(torch.uint8)], dim=-1)


def bytes_seen(mask: UInt8[Tensor, "m t w"]) -> Bool[Tensor, "m t s"]:
    """The mask that was made into these bytes."""
    return mask[..., EDGES:].bool()


@inline
def first_seen(row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled, here and below
    """The first column that a row of a mask's bytes sees; how many columns there are if it sees none."""
    return _edge(row, 0)


@inline
def last_seen(row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """The last column that a row of a mask's bytes sees; -1 if it sees none."""
    return _edge(row, 4)


@inline
def has_holes(row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Whether a row of a mask's bytes does not see all columns from its first to its last."""
    return _edge(row, 8) <= last_seen(row) - first_seen(row)


@inline
def _edge(row, at):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The int32 that stands in four bytes of a mask's row."""
    found = np.uint32(row[at]) | np.uint32(row[at + 1]) << np.uint32(8)
    return np.int64(np.int32(found | np.uint32(row[at + 2]) << np.uint32(16) | np.uint32(row[at + 3]) << np.uint32(24)))
