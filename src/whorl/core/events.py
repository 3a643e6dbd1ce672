"""core/events: what happens during a run, as flat JSON events: one line each in the run's file, one row each in SQLite.

An event has `time` (seconds since the epoch), `kind`, `stage` and flat fields. Progress events carry the same fields in every
stage: `step total unit elapsed_s eta_s` and whatever figures the stage adds. Nothing here draws; faces subscribe.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Event", "Events", "JsonlSink", "SqliteSink", "past_events"]

Event = dict[str, Any]
Sink = Callable[[Event], None]


@dataclass
class Events:
    """Where a stage reports. Sinks are called in order, in the thread that emits."""

    stage: str
    sinks: list[Sink] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    _last_progress: float = 0.0
    _pace_from: tuple[str, int, float] = ("", 0, 0.0)  # unit, step and time the pace is measured from

    def emit(self, kind: str, **fields: object) -> None:
        """Record one event."""
        event: Event = {"time": time.time(), "kind": kind, "stage": self.stage, **fields}
        for sink in self.sinks:
            sink(event)

    def progress(self, step: int, total: int | None, unit: str, **figures: float | str) -> None:
        """Say how far the work is; at most ten times a second, and always at the end. `total` None: not known.

        The time left follows the pace since the first call with this unit: a resumed stage does not begin at step 0.
        """
        now = time.monotonic()
        if self._pace_from[0] != unit or step < self._pace_from[1]:
            self._pace_from = (unit, step, now)
        is_last = total is not None and step >= total
        if not is_last and now - self._last_progress < 0.1:
            return
        self._last_progress = now
        elapsed_s = now - self._began
        done = step - self._pace_from[1]
        eta_s = (now - self._pace_from[2]) / done * (total - step) if total is not None and done else None
        self.emit("progress", step=step, total=total, unit=unit, elapsed_s=elapsed_s, eta_s=eta_s, **figures)

    def warn(self, message: str, **fields: object) -> None:
        """Something the user should know that does not stop the work."""
        self.emit("warning", message=message, **fields)


@dataclass
class JsonlSink:
    """Appends each event to a file as one JSON line, flushed at once: a killed run keeps what it said."""

    path: Path

    def __call__(self, event: Event) -> None:
        """Append one line."""
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(event, default=str) + "\n")


class SqliteSink:
    """Inserts each event into `<root>/events.sqlite` (write-ahead log), where runs can be joined and searched."""

    def __init__(self, path: Path, run: str) -> None:
        self._run = run
        self._db = connect(path)
        self._lock = threading.Lock()  # stages may report from another thread than the one that opened the database

    def __call__(self, event: Event) -> None:
        """Insert one row."""
        with self._lock, self._db:
            self._db.execute(
                "insert into events (run, time, stage, kind, fields) values (?, ?, ?, ?, ?)",
                (self._run, event["time"], event["stage"], event["kind"], json.dumps(event, default=str)),
            )

    def close(self) -> None:
        """Close the database; the sink must not be called again."""
        self._db.close()


def connect(path: Path) -> sqlite3.Connection:
    """Open or create the event database."""
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=30, check_same_thread=False)
    db.execute("pragma journal_mode=wal")
    db.execute("pragma synchronous=normal")
    db.execute("create table if not exists events (id integer primary key, run, time real, stage, kind, fields)")
    db.execute("create index if not exists by_kind on events (kind, stage)")
    db.commit()
    return db


def past_events(path: Path, kind: str, **where: str) -> Iterator[Mapping[str, Any]]:
    """Events of one kind from every run of this workspace, oldest first, with the given fields equal."""
    if not path.is_file():
        return
    db = connect(path)
    try:
        rows = db.execute("select run, fields from events where kind = ? order by id", (kind,)).fetchall()
    finally:
        db.close()
    for run, text in rows:
        event = {"run": run, **json.loads(text)}
        if all(event.get(key) == value for key, value in where.items()):
            yield event
