"""corpus/appraisal: how well a classifier's margins tell two kinds of held-out documents apart, once calibrated.

The calibration that is measured is fitted on one half of the documents and measured on the other, both ways round: what is
reported was not fitted to the documents it is reported on. Does not choose a threshold.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from whorl.measure.binary import OperatingPoint, area_under_curve, calibration_error, operating_point
from whorl.measure.intervals import wilson
from whorl.text.logistic import calibrated

__all__ = ["THRESHOLDS", "Appraisal", "appraise"]

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
_SHOWN = 0.5  # the threshold in the headline


class Appraisal(NamedTuple):
    """What every threshold would do, and figures of all of them together."""

    points: tuple[OperatingPoint, ...]
    headline: Mapping[str, Any]


def appraise(
    margins: npt.NDArray[np.float64],
    labels: npt.NDArray[np.bool_],
    weights: npt.NDArray[np.float64],
    *,
    keys: npt.NDArray[np.uint64],
) -> Appraisal:
    """Measure. `weights` say how common each document is, `keys` (hashes of ids) deal documents into halves."""
    scores = _cross_fitted(margins, labels, weights, is_second=_halves(labels, keys))
    points = {threshold: operating_point(scores, labels, weights, threshold=threshold) for threshold in THRESHOLDS}
    shown = points[_SHOWN]
    headline = {
        "auc": round(area_under_curve(margins, labels), 6),
        "precision": None if shown.precision is None else round(shown.precision, 6),  # at 0.5
        "recall": round(shown.recall, 6),
        "recall_interval": [round(end, 4) for end in wilson(shown.true_positives, int(labels.sum()))],
        "calibration_error": round(calibration_error(scores, labels, weights), 6),
    }
    return Appraisal(tuple(points.values()), headline)


def _halves(labels: npt.NDArray[np.bool_], keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Whether each document is in the second half; both halves hold both kinds."""
    order = np.lexsort((keys, labels))
    is_second = np.zeros(len(labels), np.bool_)
    num_negative = int((~labels).sum())
    for kind in (order[:num_negative], order[num_negative:]):
        is_second[kind[1::2]] = True
    return is_second


def _cross_fitted(
    margins: npt.NDArray[np.float64],
    labels: npt.NDArray[np.bool_],
    weights: npt.NDArray[np.float64],
    *,
    is_second: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float64]:
    scores = np.zeros(len(margins))
    for here in (is_second, ~is_second):
        calibration = calibrated(margins[~here], labels[~here], weights[~here])
        scores[here] = calibration.probabilities(margins[here])
    return scores
