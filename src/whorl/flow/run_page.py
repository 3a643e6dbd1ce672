"""flow/run_page: a run as one web page: stages, curves and figures of what was trained, and what the model said on the way.

Drawn from the run's own events and nothing else; self-contained, no script, no network, light and dark. What was not recorded
is not on it.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined

from whorl.core.artifact import write_text_atomic

__all__ = ["PAGE_FILE", "run_page", "write_run_page"]

PAGE_FILE = "report.html"

Event = Mapping[str, Any]

_SAMPLES_SHOWN = 6  # of each prompt: the first, the last and some between
_ENDED = {"stage_cached": "cached", "stage_finished": "finished", "stage_failed": "failed", "stage_stopped": "stopped"}


class Point(NamedTuple):
    """A figure after a step, in its own unit."""

    step: int
    value: float


class Card(NamedTuple):
    """One figure over a training run; `path` is its curve on a field of 100 x 40, top to bottom."""

    title: str
    last: str
    low: str
    high: str
    path: str
    steps: tuple[int, int]


class Answers(NamedTuple):
    """What the model said to one prompt, by step."""

    prompt: str
    said: list[Mapping[str, Any]]


class Trained(NamedTuple):
    """One stage that told figures step by step."""

    stage: str
    cards: list[Card]
    about: Event  # what shares are of and how energy is known; empty where nothing said so
    answers: list[Answers]


def write_run_page(folder: Path) -> None:
    """`report.html` in the folder of a run, from the events and the provenance that lie there."""
    about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    write_text_atomic(folder / PAGE_FILE, run_page(folder.name, about, list(_told(folder / "events.jsonl"))))


def _told(path: Path) -> Iterator[Event]:
    """Every event of a run but progress, of which a long one has many and which nothing here draws."""
    if not path.is_file():  # ended before anything happened
        return
    with path.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines if '"kind": "progress"' not in line)


def run_page(run: str, about: Mapping[str, Any], events: Sequence[Event]) -> str:
    """The page of a run: its id, the content of its run.json, and its events in order."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(duration=_duration, size=_size, figure=_figure)
    text = files("whorl.flow").joinpath("run_page.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(text).render(
        run=run,
        about=about,
        ended=next((event for event in events if event["kind"] == "run_ended"), {}),
        stages=[{"state": _ENDED[event["kind"]], **event} for event in events if event["kind"] in _ENDED],
        trained=_trained(events),
        warnings=[event for event in events if event["kind"] in ("warning", "source_drift")],
    )


def _trained(events: Sequence[Event]) -> list[Trained]:
    """Every stage with curves, in the order they began."""
    found = []
    for stage in dict.fromkeys(event["stage"] for event in events if event["kind"] == "metric" and "step" in event):
        own = [event for event in events if event["stage"] == stage]
        about = [event for event in own if event["kind"] == "setting" and event.get("name") == "telemetry"]
        found.append(Trained(stage, _cards(own), about[-1] if about else {}, _answers(own)))
    return found


def _cards(events: Sequence[Event]) -> list[Card]:
    """A card for every figure that was told, the known ones first."""
    metrics = [event for event in events if event["kind"] == "metric" and "step" in event]
    series: dict[str, list[Point]] = {}
    for name, point in (found for event in metrics for found in _points(event)):
        series.setdefault(name, []).append(point)
    order = [*(name for name in _KNOWN if name in series), *sorted(set(series) - set(_KNOWN))]
    return [_card(name, series[name]) for name in order]


def _points(metric: Event) -> Iterator[tuple[str, Point]]:
    for name, value in metric.items():
        if name not in ("time", "kind", "stage", "step") and _is_number(value):
            yield name, Point(metric["step"], float(value))


def _card(name: str, points: Sequence[Point]) -> Card:
    shown, values = _shown(name), [point.value for point in points]
    low, high = min(values), max(values)
    floor = min(0.0, low) if shown.is_from_zero else low
    first, last = points[0].step, points[-1].step
    path = " ".join(
        f"{100 * (step - first) / max(1, last - first):.2f},{38 - 36 * (value - floor) / ((high - floor) or 1.0):.2f}"
        for step, value in points
    )
    return Card(shown.title, shown.text(values[-1]), shown.text(low), shown.text(high), path, (first, last))


def _answers(events: Sequence[Event]) -> list[Answers]:
    samples = [event for event in events if event["kind"] == "sample"]
    prompts = dict.fromkeys(event["prompt"] for event in samples)
    return [Answers(prompt, _some([event for event in samples if event["prompt"] == prompt])) for prompt in prompts]


def _some(events: list[Event]) -> list[Event]:
    """The first, the last and evenly some between."""
    if len(events) <= _SAMPLES_SHOWN:
        return events
    stride = (len(events) - 1) / (_SAMPLES_SHOWN - 1)
    return [events[round(number * stride)] for number in range(_SAMPLES_SHOWN)]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _size(num_bytes: float) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if num_bytes >= scale:
            return f"{num_bytes / scale:.3g} {unit}"
    return f"{num_bytes / 1e3:.3g} kB"


def _watt_hours(value: float) -> str:
    return f"{value:.3g} Wh"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.2f} h"


class Shown(NamedTuple):
    """How a person wants to read a figure."""

    title: str
    text: Callable[[float], str] = _figure
    is_from_zero: bool = False  # a curve that fills its field would make noise of a steady speed


# By what the events of train call it, in the order of the page.
_KNOWN: Mapping[str, Shown] = {
    "held_out_bits_per_byte": Shown("held-out text, bits per byte"),
    "loss": Shown("training loss, nats per target"),
    "bits_per_byte": Shown("training text, bits per byte"),
    "tokens_per_s": Shown("tokens a second", is_from_zero=True),
    "mfu": Shown("MFU: share of the measured peak", _share, is_from_zero=True),
    "hfu": Shown("HFU: with what is computed twice", _share, is_from_zero=True),
    "mfu_of_vendor_peak": Shown("MFU: share of the vendor's peak", _share, is_from_zero=True),
    "memory_bytes": Shown("most memory so far", _size, is_from_zero=True),
    "energy_wh": Shown("energy so far", _watt_hours, is_from_zero=True),
    "grad_norm": Shown("gradient norm"),
    "tokens": Shown("tokens so far, filled places or not", is_from_zero=True),
}


def _shown(name: str) -> Shown:
    if name.startswith("rate_"):
        return Shown(f"learning rate, {name.removeprefix('rate_')}", is_from_zero=True)
    return _KNOWN.get(name, Shown(name.replace("_", " ")))
