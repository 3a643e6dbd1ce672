"""text/statistics: every count of every text of a batch by name, each group computed when one of its names is asked for.

Counts are integers, so that figures made of them are exact wherever they are kept; ratios are formed by whoever judges. The
groups: bytes and words (text/words), lines (below), repeated lines and n-grams (text/repetition).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from whorl.text.lines import BLANK, BULLET, ELLIPSIS, TERMINAL, Lines

__all__ = ["LINE_COUNTS", "Statistics", "line_counts"]

Table = npt.NDArray[np.int64]  # texts x names

# Columns, one row per text; text/reference_lines says exactly what each one counts.
LINE_COUNTS = (
    "num_lines",
    "num_line_breaks",
    "num_line_chars",  # without the breaks
    "num_bullet_lines",
    "num_ellipsis_lines",
    "num_terminal_lines",  # ending in a character that ends a sentence; blank lines do not
)


class Statistics(Mapping[str, npt.NDArray[np.int64]]):
    """One array of counts per name, one entry per text."""

    def __init__(self, groups: Sequence[tuple[Sequence[str], Callable[[], Table]]]) -> None:
        """Names of each group, and what computes them together."""
        self._groups = [(tuple(names), compute) for names, compute in groups]
        self._columns: dict[str, npt.NDArray[np.int64]] = {}

    def __getitem__(self, name: str) -> npt.NDArray[np.int64]:
        if name not in self._columns:
            names, compute = next((group for group in self._groups if name in group[0]), ((), None))
            if compute is None:
                raise KeyError(name)
            self._columns |= dict(zip(names, np.ascontiguousarray(compute().T), strict=True))
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return (name for names, _ in self._groups for name in names)

    def __len__(self) -> int:
        return sum(len(names) for names, _ in self._groups)


def line_counts(lines: Lines, offsets: npt.NDArray[np.int64]) -> Table:
    """Texts x LINE_COUNTS. `offsets` are those of the texts: a line that ends with its text has no break."""
    num_lines = np.diff(lines.first)
    is_open = np.zeros(len(num_lines), dtype=np.int64)
    has_lines = num_lines > 0
    is_open[has_lines] = lines.ends[lines.first[1:][has_lines] - 1] == offsets[1:][has_lines]
    flagged = [lines.per_text(lines.flags & flag != 0) for flag in (BULLET, ELLIPSIS)]
    ended = lines.per_text((lines.flags & TERMINAL != 0) & (lines.flags & BLANK == 0))
    return np.stack([num_lines, num_lines - is_open, lines.per_text(lines.chars), *flagged, ended], axis=1)
