import json
import threading
from pathlib import Path

import pytest

from whorl.core import events as events_module
from whorl.core.events import Event, Events, JsonlSink, SqliteSink, past_events


class Clock:
    """Stands in for the time module."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1e9 + self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(events_module, "time", clock)
    return clock


@pytest.fixture
def seen() -> list[Event]:
    return []


@pytest.fixture
def events(clock: Clock, seen: list[Event]) -> Events:
    return Events("clean", [seen.append], clock.monotonic())


def test_an_event_has_time_kind_stage_and_flat_fields_in_every_sink(events: Events, seen: list[Event]) -> None:
    second: list[Event] = []
    events.sinks.append(second.append)
    events.warn("3 pages had no text", pages=3)
    assert (
        seen
        == second
        == [{"time": 1e9 + 100, "kind": "warning", "stage": "clean", "message": "3 pages had no text", "pages": 3}]
    )


def test_time_left_follows_the_pace(events: Events, clock: Clock, seen: list[Event]) -> None:
    for step, now in ((0, 100.0), (25, 110.0), (50, 120.0)):
        clock.now = now
        events.progress(step, 100, "documents", loss=1.5)
    assert [event["eta_s"] for event in seen] == [None, 30.0, 20.0]
    assert seen[-1]["elapsed_s"] == 20.0
    assert (seen[-1]["step"], seen[-1]["total"], seen[-1]["unit"], seen[-1]["loss"]) == (50, 100, "documents", 1.5)


def test_a_resumed_stage_does_not_count_earlier_steps_into_its_pace(events: Events, clock: Clock, seen: list[Event]) -> None:
    events.progress(900, 1000, "steps")
    clock.now += 10
    events.progress(910, 1000, "steps")
    assert seen[-1]["eta_s"] == 90.0


@pytest.mark.parametrize(("step", "unit"), [(10, "tokens"), (5, "documents")])
def test_a_new_phase_starts_its_own_pace(events: Events, clock: Clock, seen: list[Event], step: int, unit: str) -> None:
    events.progress(10, 100, "documents")
    clock.now += 50
    events.progress(step, 100, unit)
    clock.now += 1
    events.progress(step + 5, 100, unit)
    assert seen[-1]["eta_s"] == pytest.approx((95 - step) / 5)


def test_progress_is_told_ten_times_a_second_and_always_at_the_end(events: Events, clock: Clock, seen: list[Event]) -> None:
    for step in range(1, 101):
        clock.now += 0.01
        events.progress(step, 100, "steps")
    steps = [event["step"] for event in seen]
    assert steps[-1] == 100
    assert len(steps) in range(10, 13)


def test_an_unknown_total_has_no_time_left(events: Events, clock: Clock, seen: list[Event]) -> None:
    for step in (1, 2):
        clock.now += 1
        events.progress(step, None, "pages")
    assert [(event["total"], event["eta_s"]) for event in seen] == [(None, None), (None, None)]


def test_the_run_file_has_one_json_line_per_event(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "events.jsonl")
    sink({"kind": "a", "path": Path("x")})
    sink({"kind": "b"})
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"kind": "a", "path": "x"}, {"kind": "b"}]


def test_past_events_of_every_run_are_found_by_kind_and_field(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "deep" / "events.sqlite"
    assert list(past_events(path, "done")) == []
    for run, stage in (("r1", "clean"), ("r2", "ids"), ("r3", "clean")):
        sink = SqliteSink(path, run)
        Events(stage, [sink]).emit("done", seconds=len(run))
        Events(stage, [sink]).emit("begun")
        sink.close()
    assert [event["run"] for event in past_events(path, "done")] == ["r1", "r2", "r3"]
    assert [event["run"] for event in past_events(path, "done", stage="clean")] == ["r1", "r3"]
    assert next(past_events(path, "done")) == {"run": "r1", "time": 1e9 + 100, "kind": "done", "stage": "clean", "seconds": 2}


def test_events_from_several_threads_all_reach_the_database(tmp_path: Path) -> None:
    sink = SqliteSink(tmp_path / "events.sqlite", "run")
    threads = [
        threading.Thread(target=lambda n=n: sink({"time": 0.0, "kind": "metric", "stage": "base", "n": n})) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink.close()
    assert sorted(event["n"] for event in past_events(tmp_path / "events.sqlite", "metric")) == list(range(8))
