"""train/moments: what optimizers remember between steps, by name, and whether saved moments are this model's.

Does not write files: train/state does.
"""

from collections.abc import Mapping

from torch import Tensor

from whorl.core.errors import ArtifactError

__all__ = ["check_state"]


def check_state(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Raise ArtifactError, naming the first that differs, unless names and shapes are those of `wanted`."""
    for name in sorted(set(state) ^ set(wanted)):
        side = "missing from" if name in wanted else "not expected in"
        raise ArtifactError(f"optimizer state: '{name}' is {side} it; it was saved for another model or optimizer")
    for name, like in wanted.items():
        if state[name].shape != like.shape:
            raise ArtifactError(f"optimizer state: '{name}' is {tuple(state[name].shape)}, want {tuple(like.shape)}")
