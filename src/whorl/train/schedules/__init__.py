"""train/schedules: the door of learning-rate schedules: pure functions of the tokens trained, as a fraction of the peak.

A schedule knows nothing of learning rates, optimizers or batch sizes; each optimizer multiplies its own peak rates by the
fraction. A step gets the largest factor on its stretch of tokens, so splitting it in two changes neither rise nor fall.

To add one, write a file here with one class deriving from Schedule (`factor`), and its test.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, NamedTuple

from pydantic import PlainValidator

from whorl.core.config import Member
from whorl.core.errors import ConfigError
from whorl.core.quantity import Length

__all__ = ["Moment", "Schedule", "Stretch", "fallen", "risen", "stretch_steps"]


class Moment(NamedTuple):
    """The stretch of a run that one optimizer step covers, in tokens (places in rows, filled or not)."""

    before: int  # tokens trained before this step
    after: int  # and after it
    total: int  # of the whole run

    @property
    def step(self) -> float:
        """Number of this step (0-based) if every step were as large as this one; whole where all are."""
        return self.before / (self.after - self.before)

    @property
    def num_steps(self) -> float:
        """Steps of the whole run if every step were as large as this one."""
        return self.total / (self.after - self.before)


def _stretch(data: object) -> float | Length:
    wanted = "want a fraction of the run (0 to 1) or a length in tokens, like 0.02 or '2M tokens'"
    if isinstance(data, int | float) and not isinstance(data, bool) and 0 <= data <= 1:
        return float(data)
    if not isinstance(data, str | Length):
        raise ValueError(f"{wanted}; got {data!r}")
    length = Length.parse(data)
    if length.unit != "tokens":
        raise ValueError(f"{wanted}; got {str(length)!r}")
    return length


Stretch = Annotated[float | Length, PlainValidator(_stretch, json_schema_input_type=float | str)]
"""A part of a run: a fraction of it, or a written length in tokens."""


def stretch_steps(stretch: float | Length, moment: Moment) -> float:
    """The stretch in steps as large as this moment's. Raises ConfigError when it is longer than the run."""
    if not isinstance(stretch, Length):
        return stretch * moment.num_steps
    if stretch.amount > moment.total:
        raise ConfigError(f"schedule: a stretch of {stretch} is longer than the run of {moment.total} tokens; shorten it")
    return stretch.amount / (moment.after - moment.before)


def risen(moment: Moment, rise: float) -> float | None:
    """Factor of a linear warm-up over the first `rise` steps; None behind it. The first step is already above 0."""
    return min(1.0, (moment.step + 1) / rise) if moment.step < rise else None


def fallen(moment: Moment, *, warmup: float | Length, floor: float, shape: Callable[[float], float]) -> float:
    """Factor of a linear warm-up, then a fall that takes what is left of the run.

    `shape` tells of the part of the fall that is done, 0 to 1, how much is left above the floor, 1 to 0. All of it is done one
    step after the last, so no step is wasted at 0.
    """
    rise = stretch_steps(warmup, moment)
    rising = risen(moment, rise)
    if rising is not None:
        return rising
    return floor + (1 - floor) * shape((moment.step - rise) / (moment.num_steps - rise))


class Schedule(Member, is_door=True):
    """How the learning rate moves over a run of known length."""

    @abstractmethod
    def factor(self, moment: Moment) -> float:
        """Fraction of the peak rate used by the step that covers `moment`; between 0 and 1.

        Raises ConfigError when written lengths do not fit the run.
        """
