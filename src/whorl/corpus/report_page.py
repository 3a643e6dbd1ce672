"""corpus/report_page: the report of a corpus as one web page: self-contained, no script, no network, light and dark.

Draws what report.json holds and computes nothing new. The page is no part of the artifact's content.
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined

__all__ = ["page"]

_KIB = 1024


class _Column(NamedTuple):
    """One bin, in hundredths of the chart's width and height; dropped documents stand on kept ones."""

    x: float
    width: float
    kept: float
    dropped: float


def page(report: Mapping[str, Any]) -> str:
    """The page of a report (the content of report.json)."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(number=_number, size=_size, columns=_columns, place=_place, figure=_figure, share=_share)
    text = files("whorl.corpus").joinpath("report_page.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(text).render(report=report, came=report["flow"][0], kept=report["flow"][-1])


def _number(value: int) -> str:
    return f"{value:,}"


def _size(num_bytes: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if num_bytes < _KIB or unit == "GiB":
            return f"{num_bytes:.0f} {unit}" if unit == "B" else f"{num_bytes:.1f} {unit}"
        num_bytes /= _KIB
    raise AssertionError("the last unit takes everything")


def _share(part: float, whole: float) -> float:
    """Hundredths."""
    return 100 * part / whole if whole else 0.0


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _columns(histogram: Mapping[str, Any]) -> list[_Column]:
    kept: Sequence[int] = histogram["kept"]
    dropped: Sequence[int] = histogram["dropped"]
    top = max(1, *(one + other for one, other in zip(kept, dropped, strict=True)))
    # The square root keeps a bin of three documents visible beside one of three thousand.
    heights = [(100 * (one / top) ** 0.5, 100 * ((one + other) / top) ** 0.5) for one, other in zip(kept, dropped, strict=True)]
    width = 100 / len(kept)
    return [_Column(i * width, width, low, high - low) for i, (low, high) in enumerate(heights)]


def _place(histogram: Mapping[str, Any], bound: float) -> float:
    """Where a bound stands on the chart, in hundredths of its width."""
    first, last = histogram["edges"][0], histogram["edges"][-1]
    return float(min(100.0, max(0.0, 100 * (bound - first) / (last - first))))
