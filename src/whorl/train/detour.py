"""train/detour: how far a run that went back has moved along the data, beyond what its timetable says.

A run that goes back to an earlier step goes on with data nobody has read yet; from that step on, every step lies further along.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from whorl.train.timetable import Timetable

__all__ = ["Detour", "places_at", "steps_at", "with_detour"]


class Detour(NamedTuple):
    """From this step (0-based) on, until the next detour, places lie so many rows further along."""

    step: int
    rows: int


def places_at(step: int, timetable: Timetable, detours: Sequence[Detour]) -> range:
    """The places a step (0-based) reads."""
    shift = next((one.rows for one in reversed(detours) if one.step <= step), 0)
    planned = timetable.places(step)
    return range(planned.start + shift, planned.stop + shift)


def with_detour(back_to: int, *, past: int, timetable: Timetable, detours: Sequence[Detour]) -> list[Detour]:
    """The detours of a run that goes back to a step and on from the place `past`; those of steps it takes again are void."""
    kept = [one for one in detours if one.step < back_to]
    return [*kept, Detour(back_to, past - timetable.places(back_to).start)]


def steps_at(places: Sequence[int], timetable: Timetable, detours: Sequence[Detour]) -> list[int]:
    """The steps (0-based) that read some of these places, ascending; places passed over were read by none."""
    stretches = [*([] if detours and detours[0].step == 0 else [Detour(0, 0)]), *detours, Detour(timetable.num_steps, 0)]
    found: set[int] = set()
    for here, then in pairwise(stretches):
        planned = (place - here.rows for place in places)
        steps = {timetable.step_of(place) for place in planned if 0 <= place < timetable.num_places}
        found.update(step for step in steps if here.step <= step < then.step)
    return sorted(found)
