"""train/refusals: what a fit refuses before its first step because the machine or the data cannot do what is asked.

Every refusal says what was asked, what there is and what to try. What two artifacts disagree on is train/setup's.
"""

from collections.abc import Sequence

import numpy as np

from whorl.core.errors import DataError
from whorl.train.objectives import Material

__all__ = ["check_learnable"]


def check_learnable(materials: Sequence[Material], places: Sequence[str]) -> None:
    """Raises DataError naming the first source in which no token carries loss; `places` say which is which."""
    for material, place in zip(materials, places, strict=True):
        if not _has_targets(material):
            raise DataError(
                f"{place}: no token of its {len(material.sequences)} sequences carries loss, so nothing can be learnt from it; "
                "want documents of two tokens and more, or dialogues with an answer"
            )


def _has_targets(material: Material) -> bool:
    """Whether anything is predicted: a sequence's first token never is."""
    sequences = material.sequences
    if not len(sequences.flat_weights):
        return bool((sequences.lengths() > 1).any())
    is_first = np.zeros(len(sequences.flat_weights), dtype=bool)
    is_first[sequences.starts[sequences.lengths() > 0]] = True
    return bool((sequences.flat_weights[~is_first] > 0).any())
