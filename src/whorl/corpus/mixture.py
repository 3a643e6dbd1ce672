"""corpus/mixture: the arithmetic of a mixture: how often each source is read so that shares and caps hold.

Sizes are bytes of text. Knows nothing of documents; drawing them is corpus/draw.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["Supply", "largest_total", "passes", "shares"]


class Supply(NamedTuple):
    """What one source could give."""

    name: str
    size_bytes: int
    max_epochs: float  # times it may be read
    weight: float | None = None


def shares(supplies: Sequence[Supply], temperature: float) -> list[float]:
    """Wanted shares, which sum to one: the weights, or sizes to the power of 1 / temperature where there are none.

    Temperature 1 keeps the sizes' proportions; a higher one brings the shares together.
    """
    if supplies[0].weight is not None:
        parts = np.array([float(supply.weight or 0) for supply in supplies])
    else:
        sizes = np.array([float(supply.size_bytes) for supply in supplies])
        parts = (sizes / max(sizes.max(), 1.0)) ** (1 / temperature)
    return [float(part) for part in parts / parts.sum()]


def largest_total(supplies: Sequence[Supply], wanted: Sequence[float]) -> tuple[int, Supply]:
    """The most bytes a mixture of these shares can have, and the source whose cap it meets."""
    bounds = [supply.size_bytes * supply.max_epochs / share for supply, share in zip(supplies, wanted, strict=True)]
    tightest = int(np.argmin(bounds))
    return int(bounds[tightest]), supplies[tightest]


def passes(supplies: Sequence[Supply], wanted: Sequence[float], total: int) -> list[float]:
    """How often each source is read: 2.25 is twice, and a quarter of it a third time."""
    return [min(supply.max_epochs, total * share / supply.size_bytes) for supply, share in zip(supplies, wanted, strict=True)]
