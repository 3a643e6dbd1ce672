"""train/length: how many optimizer steps a written length is.

Tokens are places in rows (rows x width a step), filled or not, so that a length says how much is computed. Does not turn time
into steps: that is measured once, by the stage's `pin`.
"""

import math

from whorl.core.errors import ConfigError
from whorl.core.quantity import Length

__all__ = ["num_steps"]


def num_steps(length: Length, *, tokens_per_step: int, steps_per_epoch: int) -> int:
    """At least one step, rounded up: the written length is reached. Raises ConfigError for a time or a broken step."""
    amount = round(length.amount, 6)  # 1.1M is not a whole number in binary
    if length.unit == "seconds":
        raise ConfigError(f"length '{length}' is a time; it becomes tokens at the first run of the recipe (whorl run)")
    if length.unit == "steps" and not amount.is_integer():
        raise ConfigError(f"length '{length}': want a whole number of steps")
    steps = {"tokens": amount / tokens_per_step, "steps": amount, "epochs": amount * steps_per_epoch}[length.unit]
    return max(1, math.ceil(steps))
