"""train/ramp: a batch that starts small and grows to its full size over the first part of a run.

Small batches use tokens better while the loss still falls fast. What the learning rate does meanwhile is the recipe's choice:
in proportion to the batch for SGD (https://arxiv.org/abs/1706.02677), to its root for Adam and its kin
(https://arxiv.org/abs/2205.10287). Ramps: https://arxiv.org/abs/2005.14165, section 2.3.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from whorl.core.config import Config

__all__ = ["Ramp"]

_POWERS: Mapping[str, float] = {"linear": 1.0, "sqrt": 0.5, "none": 0.0}


class Ramp(Config):
    """From `start_rows` a step to the stage's `rows`, linearly in tokens."""

    start_rows: int = Field(ge=1)
    over: float = Field(default=0.1, gt=0, le=1)  # fraction of the run's tokens
    rate: Literal["linear", "sqrt", "none"] = "sqrt"  # how the learning rate follows the rows

    def rows_at(self, done: float, full: int) -> int:
        """Rows of a step that begins when this fraction of the run's tokens is done."""
        if done >= self.over:
            return full
        return self.start_rows + int((full - self.start_rows) * done / self.over)

    def factor(self, rows: int, full: int) -> float:
        """What the learning rate is multiplied by in a step of so many rows."""
        return float((rows / full) ** _POWERS[self.rate])
