"""cli/drawing: figures with units and tidy columns, for terminals of eighty characters and more.

Draws values it is given; measures nothing. What was not measured says so.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from rich.table import Table
from rich.text import Text

__all__ = ["NOT_MEASURED", "STATE_STYLES", "Column", "clock", "counts_line", "duration", "number", "size", "table"]

NOT_MEASURED = "not measured"

STATE_STYLES: Mapping[str, str] = {
    "cached": "green",
    "finished": "green",
    "ok": "green",
    "new": "cyan",
    "running": "cyan",
    "stale": "yellow",
    "depends": "yellow",
    "unfinished": "yellow",
    "stopped": "yellow",
    "warn": "yellow",
    "failed": "red",
    "fail": "red",
}


class Column(NamedTuple):
    """One column of a table; a flexible one takes what room is left and wraps."""

    title: str
    align: Literal["left", "right"] = "left"
    is_flexible: bool = False


def table(*columns: Column | str) -> Table:
    """An open table: no lines, a quiet header, two blanks between columns."""
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    for column in columns:
        named = Column(column) if isinstance(column, str) else column
        drawn.add_column(
            named.title,
            justify=named.align,
            no_wrap=not named.is_flexible,
            overflow="fold" if named.is_flexible else "ellipsis",
        )
    return drawn


def size(num_bytes: float | None) -> str:
    """Decimal units, three digits: `4.1 MB`."""
    if num_bytes is None:
        return NOT_MEASURED
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= scale:
            return f"{_three(num_bytes / scale)} {unit}"
    return f"{num_bytes:.0f} B"


def duration(seconds: float | None) -> str:
    """A measured time, in words: `0.31 s`, `12.3 s`, `4 min 08 s`, `2 h 05 min`."""
    if seconds is None:
        return NOT_MEASURED
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def clock(seconds: float | None) -> str:
    """A running time, as on a clock: `0:41`, `1:02:07`; `?` when not known."""
    if seconds is None:
        return "?"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def number(value: object) -> str:
    """A figure with four digits, thousands apart; other values as they are."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def counts_line(counts: Mapping[str, object], most: int = 5) -> str:
    """Headline figures in one line: `documents 8,412  dropped 31`; how many are left out is said."""
    flat = [
        f"{name.removeprefix('num_').replace('_', ' ')} {number(value)}" for name, value in counts.items() if _is_scalar(value)
    ]
    more = [f"+{len(flat) - most} more"] if len(flat) > most else []
    return "  ".join([*flat[:most], *more])


def state(word: str) -> Text:
    """A state word in its colour."""
    return Text(word, style=STATE_STYLES.get(word, ""))


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float | bool)


def _three(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
