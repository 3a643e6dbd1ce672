"""core/seed: one root seed, and named child seeds that do not depend on the order in which they are asked for.

Does not own a generator: numpy and torch users build theirs from `Seed.number`.
"""

from dataclasses import dataclass

import numpy as np
import xxhash

__all__ = ["Seed"]


@dataclass(frozen=True)
class Seed:
    """A 63-bit seed with a path of names; `Seed(7).child("base").child("init")` is the same on every machine."""

    root: int
    path: str = ""

    def child(self, name: str) -> "Seed":
        """The seed of a named part; siblings are independent."""
        return Seed(self.root, f"{self.path}/{name}")

    @property
    def number(self) -> int:
        """A non-negative integer below 2**63, accepted by numpy and torch alike."""
        return xxhash.xxh3_64_intdigest(f"{self.root}{self.path}".encode()) >> 1

    def generator(self) -> np.random.Generator:
        """A fresh numpy generator at the start of this seed's stream."""
        return np.random.default_rng(self.number)
