"""evals/baselines/uniform: every byte equally likely: 8 bits each. The worst that anything honest can do."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from whorl.evals.baselines import Baseline, Cost

__all__ = ["Uniform"]


class Uniform(Baseline):
    """8 bits per byte."""

    definition: ClassVar[str] = "all 256 byte values equally likely"

    def cost(self, train: Sequence[bytes], scored: Sequence[bytes]) -> Cost:
        """See Baseline.cost; does not look at `train`."""
        del train
        bits = np.array([8.0 * len(document) for document in scored])
        return Cost(float(bits.sum()), bits)
