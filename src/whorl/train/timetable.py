"""train/timetable: which places of the row stream each step of a run takes, and how far in tokens it is then.

A pure function of the step, so that a resumed run, or one that asks what it read, needs no record. The run's length is exact:
its last step takes what is left. Does not know what lies at a place (tokens/loader), nor of places passed over (train/detour).
"""

from bisect import bisect_right
from typing import Final

from whorl.train.ramp import Ramp
from whorl.train.schedules import Moment

__all__ = ["Timetable"]


class Timetable:
    """Steps of a run over `full_steps * rows` places; with a ramp there are more than `full_steps` of them."""

    def __init__(self, full_steps: int, *, rows: int, width: int, ramp: Ramp | None = None) -> None:
        """Takes time and memory in the number of steps of the ramp."""
        self.width: Final = width  # tokens of a place
        self.num_places: Final = full_steps * rows
        self._rows = rows
        self._ramp = ramp
        self._firsts: Final = [0]  # of each step of the ramp, and of the first behind it
        while ramp is not None and (size := ramp.rows_at(self._firsts[-1] / self.num_places, rows)) < rows:
            self._firsts.append(min(self._firsts[-1] + size, self.num_places))
            if self._firsts[-1] == self.num_places:
                break

    @property
    def num_steps(self) -> int:
        """Optimizer steps of the whole run."""
        return len(self._firsts) - 1 - (self._firsts[-1] - self.num_places) // self._rows

    def places(self, step: int) -> range:
        """What a step (0-based) takes of the stream."""
        return range(self._first(step), min(self._first(step + 1), self.num_places))

    def tokens(self, steps: int) -> int:
        """Places in rows, filled or not, that so many steps take, in tokens."""
        return min(self._first(steps), self.num_places) * self.width

    def moment(self, step: int) -> Moment:
        """The stretch of the run that a step is, in tokens."""
        return Moment(self.tokens(step), self.tokens(step + 1), self.num_places * self.width)

    def factor(self, step: int) -> float:
        """What the ramp multiplies the learning rate by."""
        if self._ramp is None or step >= len(self._firsts) - 1:
            return 1.0
        return self._ramp.factor(self._ramp.rows_at(self._firsts[step] / self.num_places, self._rows), self._rows)

    def step_of(self, place: int) -> int:
        """The step that takes a place."""
        ramped = len(self._firsts) - 1
        if place < self._firsts[-1]:
            return bisect_right(self._firsts, place) - 1
        return ramped + (place - self._firsts[-1]) // self._rows

    def _first(self, step: int) -> int:
        ramped = len(self._firsts) - 1
        return self._firsts[step] if step <= ramped else self._firsts[-1] + (step - ramped) * self._rows
