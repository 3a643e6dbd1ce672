"""text/logistic: logistic regression on sparse rows, and the calibration of what it says. No randomness.

The loss is a weighted mean over texts plus `l2 / 2` times the squared weights (the bias is free). It is strictly convex, so the
solution does not depend on the solver; ours is L-BFGS (Nocedal 1980, https://doi.org/10.1090/S0025-5718-1980-0572855-7).
Calibration is Platt's, with his smoothed targets. Does not know where rows come from.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from whorl.core.kernels import kernel
from whorl.text.hashed import Rows

__all__ = ["Calibration", "Fit", "calibrated", "fit_logistic", "logistic", "products"]

_Floats = npt.NDArray[np.float64]
_Objective = Callable[[_Floats], tuple[float, _Floats]]

_MEMORY = 10  # pairs of steps and gradient changes that L-BFGS remembers
_SUFFICIENT = 1e-4  # Armijo: share of the promised decrease that a step has to bring
_MAX_HALVINGS = 40


class Fit(NamedTuple):
    """What was learnt."""

    weights: _Floats  # by place
    bias: float
    loss: float  # weighted mean of nats, penalty included
    steps: int
    is_converged: bool


class Calibration(NamedTuple):
    """Probability = logistic(slope * margin + offset)."""

    slope: float
    offset: float

    def probabilities(self, margins: _Floats) -> _Floats:
        """Probability of being a positive for each margin."""
        return logistic(self.slope * margins + self.offset)


def logistic(values: _Floats) -> _Floats:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)))


def fit_logistic(
    rows: Rows, labels: npt.NDArray[np.bool_], costs: _Floats, *, num_places: int, l2: float = 1e-5, max_steps: int = 500
) -> Fit:
    """Weights that minimise the loss. `costs` says how much each text counts, and is divided by its sum.

    Stops when no entry of the gradient exceeds 1e-6.
    """
    used, dense = np.unique(rows.places, return_inverse=True)  # only what occurs is worth remembering ten times
    inner = Rows(rows.first, dense.astype(np.uint32), rows.values)
    signs, shares = np.where(labels, 1.0, -1.0), costs / costs.sum()

    def objective(point: _Floats) -> tuple[float, _Floats]:
        weights = point[:-1]
        agreement = signs * (_products(*inner, weights) + point[-1])
        pull = -signs * shares * logistic(-agreement)
        gradient = np.append(_transposed(*inner, pull, len(weights)) + l2 * weights, pull.sum())
        return float(shares @ np.logaddexp(0.0, -agreement) + 0.5 * l2 * (weights @ weights)), gradient

    found = _minimum(objective, np.zeros(len(used) + 1), max_steps=max_steps)
    weights = np.zeros(num_places)
    weights[used] = found.point[:-1]
    return Fit(weights, float(found.point[-1]), found.value, found.steps, found.is_converged)


def products(rows: Rows, weights: _Floats) -> _Floats:
    """Every row times the weights (one per place)."""
    return np.asarray(_products(*rows, weights))


def calibrated(margins: _Floats, labels: npt.NDArray[np.bool_], costs: _Floats) -> Calibration:
    """Slope and offset that fit the labels best. Platt's targets keep them finite where the margins separate the labels."""
    num_positive, num_negative = int(labels.sum()), int((~labels).sum())
    targets = np.where(labels, (num_positive + 1) / (num_positive + 2), 1 / (num_negative + 2))
    shares = costs / costs.sum()
    scale = float(np.abs(margins).mean()) or 1.0  # so that both unknowns are of one size

    def objective(point: _Floats) -> tuple[float, _Floats]:
        values = point[0] * margins / scale + point[1]
        pull = shares * (logistic(values) - targets)
        loss = shares @ (np.logaddexp(0.0, values) - targets * values)
        return float(loss), np.array([pull @ margins / scale, pull.sum()])

    slope, offset = _minimum(objective, np.zeros(2), max_steps=500).point
    return Calibration(float(slope / scale), float(offset))


class _Minimum(NamedTuple):
    point: _Floats
    value: float
    steps: int
    is_converged: bool


def _minimum(objective: _Objective, point: _Floats, *, max_steps: int, tolerance: float = 1e-6) -> _Minimum:
    """L-BFGS with halved steps."""
    value, gradient = objective(point)
    pairs: list[tuple[_Floats, _Floats]] = []
    for step in range(max_steps):
        if np.abs(gradient).max(initial=0.0) <= tolerance:
            return _Minimum(point, value, step, is_converged=True)
        direction = _direction(gradient, pairs)
        promised = float(direction @ gradient)
        length = 1.0 if pairs else 1.0 / float(np.abs(gradient).sum())
        for _ in range(_MAX_HALVINGS):
            tried_value, tried_gradient = objective(point + length * direction)
            if tried_value <= value + _SUFFICIENT * length * promised:
                break
            length /= 2
        else:
            return _Minimum(point, value, step, is_converged=False)  # rounding hides any further decrease
        change = length * direction, tried_gradient - gradient
        if change[0] @ change[1] > 0:
            pairs = [*pairs[-_MEMORY + 1 :], change]
        point, value, gradient = point + change[0], tried_value, tried_gradient
    return _Minimum(point, value, max_steps, is_converged=False)


def _direction(gradient: _Floats, pairs: list[tuple[_Floats, _Floats]]) -> _Floats:
    """Minus the gradient, bent by what the remembered pairs say of the curvature (the two-loop recursion)."""
    direction = -gradient
    shares = []
    for moved, turned in reversed(pairs):
        share = float(moved @ direction) / float(moved @ turned)
        direction = direction - share * turned
        shares.append(share)
    if pairs:
        moved, turned = pairs[-1]
        direction = direction * (float(moved @ turned) / float(turned @ turned))
    for (moved, turned), share in zip(pairs, reversed(shares), strict=True):
        direction = direction + moved * (share - float(turned @ direction) / float(moved @ turned))
    return direction


@kernel()
def _products(first, places, values, weights):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Every row times the weights."""
    found = np.zeros(len(first) - 1)
    for d in range(len(found)):
        total = 0.0
        for j in range(first[d], first[d + 1]):
            total += values[j] * weights[places[j]]
        found[d] = total
    return found


@kernel()
def _transposed(first, places, values, pull, width):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """The sum of the rows, each times its pull."""
    found = np.zeros(width)
    for d in range(len(first) - 1):
        for j in range(first[d], first[d + 1]):
            found[places[j]] += values[j] * pull[d]
    return found
