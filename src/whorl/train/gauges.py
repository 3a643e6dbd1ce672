"""train/gauges: figures of the machine for the journal, from the moment a run is long enough to have any.

Measuring what the device could do takes a third of a second, so a run of a second is not measured. Does not measure itself:
train/telemetry does.
"""

from collections.abc import Callable, Mapping

from whorl.core.events import Events
from whorl.train.telemetry import Telemetry

__all__ = ["Gauges"]

_AFTER_S = 3.0  # of training


class Gauges:
    """See journal.Figures: tokens and seconds of training -> figures."""

    def __init__(self, opened: Callable[[], Telemetry], events: Events) -> None:
        self._opened = opened
        self._events = events
        self._telemetry: Telemetry | None = None

    def __call__(self, tokens: float, seconds: float) -> Mapping[str, float]:
        """Speed at once; shares of the device's peak, memory and energy once there is something to measure."""
        if self._telemetry is None and seconds < _AFTER_S:
            return {"tokens_per_s": tokens / seconds}
        if self._telemetry is None:
            self._telemetry = self._opened()
            self._events.emit("setting", name="telemetry", **self._telemetry.about())
        return self._telemetry.figures(tokens, seconds)
