from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.train.detour import Detour, places_at, steps_at, with_detour
from whorl.train.ramp import Ramp
from whorl.train.schedules import Moment
from whorl.train.timetable import Timetable

ramps = st.one_of(
    st.none(),
    st.builds(Ramp, start_rows=st.integers(1, 4), over=st.floats(0.01, 1.0), rate=st.sampled_from(["linear", "sqrt"])),
)


def test_a_ramp_from_two_to_eight_rows_by_hand():
    table = Timetable(10, rows=8, width=4, ramp=Ramp(start_rows=2, over=0.5))  # 80 places, the ramp over 40 of them
    sizes = [len(table.places(step)) for step in range(table.num_steps)]
    # Rows follow the places done: 2 + int(6 * done / 40) with 0, 2, 4, 6, 8, 11, 14, 18, 22, 27, 33 done.
    assert sizes == [2, 2, 2, 2, 3, 3, 4, 4, 5, 6, 6, 7, 8, 8, 8, 8, 2]
    assert sum(sizes) == 80
    assert table.moment(1) == Moment(8, 16, 320)
    assert table.moment(16) == Moment(312, 320, 320)


@pytest.mark.parametrize(("rule", "factor"), [("linear", 2 / 8), ("sqrt", 0.5), ("none", 1.0)])
def test_the_rate_of_a_quarter_of_a_batch_by_each_rule(rule, factor):
    table = Timetable(10, rows=8, width=4, ramp=Ramp(start_rows=2, over=0.5, rate=rule))
    assert table.factor(0) == factor
    assert table.factor(12) == table.factor(16) == 1.0  # the last step is short because the run ends, not because of the ramp


@given(full_steps=st.integers(1, 60), rows=st.integers(5, 9), ramp=ramps)
def test_steps_take_every_place_once_in_order_and_never_shrink_before_the_last(full_steps, rows, ramp):
    table = Timetable(full_steps, rows=rows, width=3, ramp=ramp)
    steps = [table.places(step) for step in range(table.num_steps)]
    assert [place for places in steps for place in places] == list(range(full_steps * rows))
    sizes = [len(places) for places in steps]
    assert all(here <= then for here, then in pairwise(sizes[:-1]))
    assert max(sizes) <= rows
    for step, places in enumerate(steps):
        assert {table.step_of(place) for place in places} == {step}
        assert table.moment(step) == Moment(3 * places.start, 3 * places.stop, 3 * full_steps * rows)


def test_without_a_ramp_steps_are_those_of_the_loader():
    table = Timetable(5, rows=4, width=8)
    assert [table.places(step) for step in range(5)] == [range(4 * step, 4 * step + 4) for step in range(5)]
    assert table.num_steps == 5


def test_a_run_that_went_back_reads_on_behind_what_it_read():
    table = Timetable(10, rows=4, width=8)
    detours = with_detour(2, past=24, timetable=table, detours=[])  # six steps were taken; back to the third
    assert detours == [Detour(2, 16)]
    assert [places_at(step, table, detours) for step in (1, 2, 3)] == [range(4, 8), range(24, 28), range(28, 32)]
    # Back to the same step from the fifth: 24 to 35 were read by then. The first detour is void.
    detours = with_detour(2, past=places_at(4, table, detours).stop, timetable=table, detours=detours)
    assert detours == [Detour(2, 28)]
    assert places_at(2, table, detours) == range(36, 40)


@given(full_steps=st.integers(3, 30), ramp=ramps, data=st.data())
def test_what_reads_a_place_is_told_past_every_detour(full_steps, ramp, data):
    table = Timetable(full_steps, rows=5, width=3, ramp=ramp)
    detours = []
    for _ in range(data.draw(st.integers(0, 3))):
        back_to = data.draw(st.integers(detours[-1].step if detours else 0, table.num_steps - 1))
        failed = data.draw(st.integers(back_to, table.num_steps - 1))
        past = places_at(failed, table, detours).stop
        detours = with_detour(back_to, past=past, timetable=table, detours=detours)
    read = [places_at(step, table, detours) for step in range(table.num_steps)]
    assert all(here.stop <= then.start for here, then in pairwise(read))  # nothing is read twice
    for place in range(max(read[-1]) + 3):
        assert steps_at([place], table, detours) == [step for step, places in enumerate(read) if place in places]
