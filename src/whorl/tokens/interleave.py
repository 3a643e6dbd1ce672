"""tokens/interleave: in which order rows of several sources follow each other, so that every beginning has the right shares.

After any number n of rows, each source of share s has had n * s of them, give or take less than one. No draws: the order is the
solution of the chairman assignment problem, made once for a period of about a million rows and repeated, so the source of any
row is looked up. Knows neither documents nor epochs.
R. Tijdeman, The chairman assignment problem, Discrete Mathematics 32 (1980): https://doi.org/10.1016/0012-365X(80)90269-1.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from whorl.core.errors import ConfigError
from whorl.core.kernels import kernel

__all__ = ["PERIOD", "Interleave", "Turns"]

PERIOD: Final = 1 << 20  # rows; shares are rounded to this many parts
_BLOCK: Final = 1 << 10  # rows; what each source had before is kept once a block


class Turns(NamedTuple):
    """Whose turn some rows are: the source of each, and which of its own rows it is."""

    source: np.ndarray  # int64
    ordinal: np.ndarray  # int64


class Interleave:
    """An endless order of rows. Rows of one source keep their order."""

    def __init__(self, shares: Sequence[float]) -> None:
        """`shares` are positive and need not sum to one. Raises ConfigError for one too small to ever have a row."""
        self._quota = _quotas(np.asarray(shares, dtype=np.float64))
        self._source: np.ndarray = np.empty(PERIOD, np.int16)
        _assign(self._quota, self._source)
        in_blocks = [np.bincount(block, minlength=len(shares)) for block in self._source.reshape(-1, _BLOCK)]
        self._before = np.concatenate([np.zeros((1, len(shares)), np.int64), np.cumsum(in_blocks, axis=0)])  # blocks x sources
        self._turns_of = [np.flatnonzero(self._source == source) for source in range(len(shares))]  # within a period

    @property
    def shares(self) -> np.ndarray:
        """The share of every source, as it is kept to; they sum to one."""
        shares: np.ndarray = self._quota / PERIOD
        return shares

    def turns(self, rows: range) -> Turns:
        """Sources of neighbouring rows. As quick for the last as for the first."""
        source = self._source[np.arange(rows.start, rows.stop) % PERIOD].astype(np.int64)
        ordinal = np.empty(len(source), np.int64)
        for one in np.unique(source):
            mine = source == one
            ordinal[mine] = self.had(int(one), rows.start) + np.arange(np.count_nonzero(mine))
        return Turns(source, ordinal)

    def rows_of(self, source: int, ordinals: np.ndarray) -> np.ndarray:
        """The places in the order of some of a source's own rows (int64)."""
        quota = int(self._quota[source])
        periods, places = ordinals // quota, ordinals % quota
        rows: np.ndarray = self._turns_of[source][places] + periods * PERIOD
        return rows

    def had(self, source: int, row: int) -> int:
        """How many rows of a source come before a row."""
        period, place = divmod(row, PERIOD)
        block = place // _BLOCK
        inside = np.count_nonzero(self._source[block * _BLOCK : place] == source)
        return int(period * self._quota[source] + self._before[block, source] + inside)


def _quotas(shares: np.ndarray) -> np.ndarray:
    """Rows of each source in a period: rounded down, and one more for those that lost most."""
    exact = shares / shares.sum() * PERIOD
    quota: np.ndarray = np.floor(exact).astype(np.int64)
    short = int(PERIOD - quota.sum())
    quota[np.argsort(quota - exact, kind="stable")[:short]] += 1
    if not quota.all():
        source = int(np.argmin(quota))
        raise ConfigError(
            f"source {source} of {len(shares)} would have {exact[source]:.3g} of {PERIOD} rows, which is less than one; "
            "give it more weight or leave it out"
        )
    return quota


@kernel()
def _assign(quota, source_of):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Tijdeman's rule in whole numbers: of the sources that are due, the one whose latest time comes first."""
    num, period = len(quota), len(source_of)
    slack = max(1, 2 * num - 2)
    had = np.zeros(num, np.int64)
    for row in range(period):
        best, earliest = -1, 0.0
        for source in range(num):
            behind = quota[source] * (row + 1) - had[source] * period  # in rows, times the period
            if behind * slack < period and num > 1:
                continue  # not due yet
            latest = (period - period / slack - behind) / quota[source]
            if best < 0 or latest < earliest:
                best, earliest = source, latest
        source_of[row] = best
        had[best] += 1
