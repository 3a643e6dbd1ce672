"""cli/progress: what a run looks like while it happens: one moving line, then one line per finished stage.

Three renderings of the same events: a live line on a terminal, plain lines every few seconds elsewhere, JSON lines with --json.
Does not run anything and keeps nothing: the run's own files do.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from whorl.cli.drawing import clock, counts_line, duration, number, size
from whorl.cli.terminal import Terminal

__all__ = ["Doing", "Gauge", "LiveGauge", "Narrator", "PlainGauge", "gauge", "narrator"]

Event = Mapping[str, Any]

_FIRST_LINE_S = 2.0  # what is over before that needs no progress
_LINE_EVERY_S = 5.0
_REFRESH_HZ = 8
_SPELT_OUT = ("time", "kind", "stage", "step", "total", "unit", "elapsed_s", "eta_s")
_ON_THE_PAGE = ("hfu", "mfu_of_vendor_peak")  # beside mfu they are too much for one line


@dataclass
class Doing:
    """The stage being carried out, as far as its events tell; read by the drawing thread."""

    stage: str
    predicted_s: float | None = None
    began: float = field(default_factory=time.monotonic)
    last: Event = field(default_factory=dict)
    last_at: float = 0.0

    def note(self, event: Event) -> None:
        """Take in a progress event."""
        self.last, self.last_at = event, time.monotonic()

    @property
    def share(self) -> float | None:
        """How much is done, between 0 and 1; None: not known."""
        total = self.last.get("total")
        return min(1.0, self.last["step"] / total) if total else None

    def fields(self) -> list[str]:
        """Stage, step of total, elapsed, time left, and the figures the stage adds; the same in every stage."""
        now = time.monotonic()
        parts = [self._steps()] if self.last else []
        parts.append(f"{clock(now - self.began)} elapsed")
        left_s = self._left_s(now)
        if left_s is not None:
            parts.append(f"{clock(left_s)} left")
        hidden = (*_SPELT_OUT, *_ON_THE_PAGE)
        return [*parts, *(_figure(name, value) for name, value in self.last.items() if name not in hidden)]

    def _steps(self) -> str:
        step, total, unit = self.last["step"], self.last.get("total"), self.last.get("unit", "")
        if not total:
            return f"{number(step)} {unit}"
        return f"{number(step)}/{number(total)} {unit} ({100 * step / total:.0f} %)"

    def _left_s(self, now: float) -> float | None:
        if self.last.get("eta_s") is not None:
            return float(max(0.0, self.last["eta_s"] - (now - self.last_at)))
        return max(0.0, self.predicted_s - (now - self.began)) if self.predicted_s and not self.last else None


class Gauge(Protocol):
    """Shows how far the running stage is."""

    def begin(self, doing: Doing) -> None:
        """A stage starts."""
        ...

    def end(self) -> None:
        """It is over; nothing of its line stays."""
        ...


class PlainGauge:
    """A line after two seconds and then every few, for logs and pipes; a thread of its own, so that silence is told too."""

    def __init__(self, say: Callable[[str], None], first_s: float = _FIRST_LINE_S, every_s: float = _LINE_EVERY_S) -> None:
        self._say = say
        self._first_s = first_s
        self._every_s = every_s
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, doing: Doing) -> None:
        """See Gauge."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tell, args=(doing, self._over), daemon=True)
        self._thread.start()

    def end(self) -> None:
        """See Gauge."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _tell(self, doing: Doing, over: threading.Event) -> None:
        wait_s = self._first_s
        while not over.wait(wait_s):
            self._say(f"      {doing.stage}  {'  '.join(doing.fields())}")
            wait_s = self._every_s


class LiveGauge:
    """One line at the bottom of the terminal, redrawn in place."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._doing: Doing | None = None
        self._live: Live | None = None

    def begin(self, doing: Doing) -> None:
        """See Gauge."""
        self._doing = doing
        self._live = Live(
            console=self._terminal.out, get_renderable=self._drawn, refresh_per_second=_REFRESH_HZ, transient=True
        )
        self._live.start()

    def end(self) -> None:
        """See Gauge."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _drawn(self) -> RenderableType:
        if self._doing is None:
            return Text("")
        line = Table.grid(padding=(0, 2, 0, 0))
        line.add_column(no_wrap=True)
        line.add_column(width=14)
        line.add_column(no_wrap=True, overflow="ellipsis")
        share = self._doing.share
        bar = ProgressBar(total=1.0, completed=share or 0.0, width=14, pulse=share is None)
        line.add_row(f"      {self._doing.stage}", bar, "  ".join(self._doing.fields()))
        return line


class Narrator:
    """Tells a run's events as they come; the sink given to flow. Use as a context, so that no line is left standing."""

    def __init__(self, terminal: Terminal, gauge: Gauge, stages: list[str]) -> None:
        self._terminal = terminal
        self._gauge = gauge
        self._stages = stages
        self._width = max(map(len, stages), default=0)
        self._doing: Doing | None = None
        self._tellers: Mapping[str, Callable[[Event], None]] = {
            "stage_cached": self._cached,
            "stage_started": self._started,
            "progress": self._progress,
            "stage_finished": self._finished,
            "stage_stopped": self._over,
            "stage_failed": self._over,
            "warning": self._warning,
            "source_drift": self._warning,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._gauge.end()

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        if self._terminal.is_json:
            self._terminal.line(event)
        elif event["kind"] in self._tellers:
            self._tellers[event["kind"]](event)

    def _line(self, stage: str, *rest: str, style: str = "") -> None:
        place = f"{self._stages.index(stage) + 1}/{len(self._stages)}" if stage in self._stages else ""
        line = Text(f"{place:>5} {stage:<{self._width}}  ")
        line.append("  ".join(part for part in rest if part), style=style)
        self._terminal.say_line(line)

    def _cached(self, event: Event) -> None:
        self._line(event["stage"], f"{'cached':>10}", counts_line(event.get("counts", {})), style="dim")

    def _started(self, event: Event) -> None:
        self._doing = Doing(event["stage"], event.get("predicted_s"))
        self._gauge.begin(self._doing)

    def _progress(self, event: Event) -> None:
        if self._doing is not None:
            self._doing.note(event)

    def _finished(self, event: Event) -> None:
        self._gauge.end()
        resumed = "(went on from what was saved)" if event.get("resumed") else ""
        self._line(event["stage"], f"{duration(event['seconds']):>10}", counts_line(event["counts"]), resumed)

    def _over(self, event: Event) -> None:
        self._gauge.end()
        self._line(event["stage"], f"{event['kind'].removeprefix('stage_'):>10}", style="yellow")

    def _warning(self, event: Event) -> None:
        self._terminal.say(Text(f"      warning: {event['message']}", style="yellow"))


def gauge(terminal: Terminal) -> Gauge:
    """The gauge that suits where standard output goes; with --json it shows nothing."""
    if terminal.out.is_terminal and not terminal.is_json:
        return LiveGauge(terminal)
    return PlainGauge(terminal.say)


def narrator(terminal: Terminal, stages: list[str]) -> Narrator:
    """A narrator with the gauge that suits where standard output goes."""
    return Narrator(terminal, gauge(terminal), stages)


def _figure(name: str, value: object) -> str:
    """One figure of a progress event; how its name ends says its unit."""
    if isinstance(value, str):
        return value
    label = name.removeprefix("num_").replace("_", " ")
    if name.endswith("_per_s"):
        unit = {"tokens": "tok"}.get(name.removesuffix("_per_s"), name.removesuffix("_per_s"))
        return f"{_short(float(str(value)))} {unit}/s"
    if name.endswith("_bytes"):
        return size(float(str(value)))
    if name.endswith("_wh"):
        return f"{float(str(value)):.3g} Wh"
    if name == "mfu":
        return f"MFU {100 * float(str(value)):.0f} %"
    return f"{label} {number(value)}"


def _short(value: float) -> str:
    for scale, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:.1f}{letter}"
    return f"{value:.1f}"
