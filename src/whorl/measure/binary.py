"""measure/binary: how well a score tells positives from negatives: area under the curve, precision and recall, calibration.

Scores are probabilities of being positive. Precision and calibration depend on how common positives are, so both take a weight
for each case; recall and the area do not. Says nothing of where the labels come from.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["OperatingPoint", "area_under_curve", "calibration_error", "operating_point"]

_Floats = npt.NDArray[np.float64]
_Labels = npt.NDArray[np.bool_]


class OperatingPoint(NamedTuple):
    """What keeping every case with a score of at least `threshold` does."""

    threshold: float
    true_positives: int
    false_positives: int
    precision: float | None  # weighted; None when nothing is kept
    recall: float


def area_under_curve(scores: _Floats, labels: _Labels) -> float:
    """Chance that a positive scores above a negative, ties counting half. Both kinds must be there."""
    num_positive, num_negative = _both(labels)
    order = np.argsort(scores, kind="stable")
    _, group, sizes = np.unique(scores[order], return_inverse=True, return_counts=True)
    ends = np.cumsum(sizes)
    ranks = (ends - (sizes - 1) / 2)[group]  # mean rank of equal scores, from 1
    above = ranks[labels[order]].sum() - num_positive * (num_positive + 1) / 2
    return float(above / (num_positive * num_negative))


def operating_point(scores: _Floats, labels: _Labels, weights: _Floats, *, threshold: float) -> OperatingPoint:
    """Counts, precision and recall at one threshold. Both kinds must be there."""
    num_positive, _ = _both(labels)
    is_kept = scores >= threshold
    hits = int((is_kept & labels).sum())
    kept = float(weights[is_kept].sum())
    precision = float(weights[is_kept & labels].sum()) / kept if kept else None
    return OperatingPoint(threshold, hits, int(is_kept.sum()) - hits, precision, hits / num_positive)


def calibration_error(scores: _Floats, labels: _Labels, weights: _Floats, *, bins: int = 10) -> float:
    """Expected calibration error: mean distance of score and share of positives over equal intervals of the score.

    Guo et al. 2017, https://arxiv.org/abs/1706.04599. Weighted; 0 is perfect, and biased upwards when cases are few.
    """
    bin_of = np.minimum((scores * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(bin_of, weights=weights * (scores - labels), minlength=bins)
    return float(np.abs(gaps).sum() / weights.sum())


def _both(labels: _Labels) -> tuple[int, int]:
    num_positive = int(labels.sum())
    if not 0 < num_positive < len(labels):
        raise ValueError(f"{num_positive} positives of {len(labels)}: want both kinds")
    return num_positive, len(labels) - num_positive
