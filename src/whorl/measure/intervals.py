"""measure/intervals: how far a figure could be off because it was measured on these questions or documents and not others.

Intervals cover the choice of questions or documents only, not another training run. Paired tests are not here.
Wilson: Wilson 1927, "Probable inference, the law of succession, and statistical inference". Bootstrap: Efron 1979, percentile.
"""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from whorl.core.seed import Seed

__all__ = ["Interval", "bootstrap", "wilson"]

_BLOCK = 64  # resamples drawn at once: 64 x 10,000 documents of float64 is 5 MB


class Interval(NamedTuple):
    """Both ends of a two-sided interval, in the unit of the figure."""

    low: float
    high: float


def wilson(successes: int, trials: int, *, level: float = 0.95) -> Interval:
    """Score interval of a share; stays inside [0, 1] and is honest at 0 of n and n of n."""
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"successes={successes}, trials={trials}: want 0 <= successes <= trials and trials > 0")
    z2 = NormalDist().inv_cdf(0.5 + level / 2) ** 2
    share = successes / trials
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = (z2 * share * (1 - share) / trials + z2 * z2 / (4 * trials * trials)) ** 0.5 / (1 + z2 / trials)
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return Interval(low, high)


def bootstrap(
    amounts: np.ndarray, weights: np.ndarray, *, seed: Seed, num_resamples: int = 2000, level: float = 0.95
) -> Interval:
    """Percentile interval of `sum(amounts) / sum(weights)` when the units (documents) are drawn anew with replacement.

    Documents are the units because tokens inside one are not independent. Equal weights give the interval of a mean.
    """
    amounts, weights = np.asarray(amounts, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if amounts.shape != weights.shape or amounts.ndim != 1 or not len(amounts) or not (weights > 0).all():
        raise ValueError(f"amounts {amounts.shape}, weights {weights.shape}: want equal 1-d shapes and positive weights")
    rng = seed.generator()
    ratios = np.empty(num_resamples)
    for begin in range(0, num_resamples, _BLOCK):
        drawn = rng.integers(len(amounts), size=(min(_BLOCK, num_resamples - begin), len(amounts)))
        ratios[begin : begin + len(drawn)] = amounts[drawn].sum(axis=1) / weights[drawn].sum(axis=1)
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))
