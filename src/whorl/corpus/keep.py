"""corpus/keep: which of several copies stays: the rank of a document among those it resembles.

Ranks come from figures and dates, never from the order of documents; equal ranks are settled by length, then by id. Does not
find copies.
"""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from whorl.core.errors import ConfigError
from whorl.core.shards import read_table

__all__ = ["Keep", "KeepPolicy", "ranks"]

KeepPolicy = Literal["longest", "newest", "best", "none"]

# A year, and as much of month, day and time as is known; anything else is no date.
_OFFSET = r"([Zz]|[+-]\d{2}:?\d{2})$"
_DATE = r"^\d{4}(-\d{2}(-\d{2}([Tt ]\d{2}(:\d{2}(:\d{2}([.,]\d+)?)?)?([Zz]|[+-]\d{2}:?\d{2})?)?)?)?$"
_DIGITS = 14  # year to second


class Keep(NamedTuple):
    """A policy, and the figure it looks at."""

    policy: KeepPolicy = "longest"
    best_by: str = ""


def ranks(keep: Keep, figures: pa.Table, documents: Path) -> npt.NDArray[np.float64]:
    """One rank per row of the figures, higher is better; `documents` holds the same rows with their dates.

    Raises ConfigError when the figure was not measured or is no number.
    """
    if keep.policy == "newest":
        dates = read_table(documents, ["date", "added"])
        written = _moments(dates["date"])
        return np.asarray(np.where(written > 0, written, _moments(dates["added"])))
    if keep.policy == "best":
        return _figure(keep.best_by, figures)
    return np.asarray(figures["num_bytes"].to_numpy(), dtype=np.float64)


def _moments(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Dates as numbers YYYYMMDDhhmmss, what is not known being zero; offsets from UTC are not looked at."""
    dated = pc.if_else(pc.match_substring_regex(column, _DATE), column, pa.scalar(None, pa.string()))
    digits = pc.replace_substring_regex(pc.replace_substring_regex(dated, _OFFSET, ""), r"[^0-9]", "")
    whole = pc.utf8_rpad(pc.utf8_slice_codeunits(digits, 0, _DIGITS), _DIGITS, "0")
    return np.asarray(pc.fill_null(whole.cast(pa.int64()), 0).to_numpy(), dtype=np.float64)


def _figure(name: str, figures: pa.Table) -> npt.NDArray[np.float64]:
    """A numeric figure; a document without it ranks below all that have it."""
    sign, own = (-1.0, name[1:]) if name.startswith("-") else (1.0, name)
    numeric = [field.name for field in figures.schema if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)]
    if own not in numeric:
        raise ConfigError(f"best_by: no figure '{own}' was measured; known: {', '.join(numeric)}")
    values = figures[own].cast(pa.float64()).to_numpy() * sign
    return np.asarray(np.where(np.isnan(values), -np.inf, values))
