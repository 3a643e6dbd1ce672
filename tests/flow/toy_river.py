"""Three small stages that count words, slow enough to be killed and honest enough to resume. Used as `toy_river:NAME`."""

import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from whorl.core.artifact import file_sha256, write_text_atomic
from whorl.core.config import UNHASHED, Ref
from whorl.core.errors import DataError
from whorl.core.stage import Job, Stage, Stopped


class Lines(Stage):
    """Numbers from a text file, one per line."""

    makes: ClassVar[str] = "documents"
    path: str = Field(json_schema_extra=UNHASHED)
    factor: int = 1

    def raw_inputs(self, root: Path) -> Mapping[str, str]:
        return {"path": file_sha256(root / self.path)}

    def run(self, job: Job) -> Mapping[str, Any]:
        lines = (job.root / self.path).read_text().split()
        try:
            numbers = [int(line) * self.factor for line in lines]
        except ValueError as error:
            raise DataError(f"{self.path}: {error}") from error
        (job.folder / "numbers.json").write_text(json.dumps(numbers))
        return {"numbers": len(numbers)}


class Walk(Stage):
    """A random walk that saves its state at every step and can be told to die at one."""

    makes: ClassVar[str] = "checkpoint"
    also_makes: ClassVar[tuple[str, ...]] = ("state",)
    is_seeded: ClassVar[bool] = True
    source: Ref[Literal["documents"]] = Field(alias="from")
    steps: int = 20
    pause_s: float = Field(default=0.0, json_schema_extra=UNHASHED)
    die_at: int | None = Field(default=None, json_schema_extra=UNHASHED)

    def work(self, inputs: Mapping[str, Any]) -> float | None:
        return float(self.steps)

    def run(self, job: Job) -> Mapping[str, Any]:
        numbers = json.loads((job.open(self.source).path / "numbers.json").read_text())
        saved = job.scratch / "state.json"
        state = json.loads(saved.read_text()) if saved.is_file() else {"step": 0, "at": sum(numbers), "trail": []}
        for step in range(state["step"], self.steps):
            at = state["at"] + int(job.seed.child(f"step{step}").generator().integers(-9, 10))
            state = {"step": step + 1, "at": at, "trail": [*state["trail"], at]}
            write_text_atomic(saved, json.dumps(state))
            job.events.progress(step + 1, self.steps, "step")
            if self.die_at == step + 1 and not (job.root / "died").exists():
                (job.root / "died").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            if job.stop.is_set():
                raise Stopped(f"saved at step {step + 1}")
            time.sleep(self.pause_s)
        (job.folder / "trail.json").write_text(json.dumps(state["trail"]))
        (job.siblings["state"] / "at.json").write_text(json.dumps(state["at"]))
        return {"at": state["at"]}


class Parity(Stage):
    """Whether the walk ended on an even number: changes upstream may come out equal here."""

    makes: ClassVar[str] = "report"
    walk: Ref[Literal["checkpoint"]]

    def run(self, job: Job) -> Mapping[str, Any]:
        trail = json.loads((job.open(self.walk).path / "trail.json").read_text())
        (job.folder / "report.json").write_text(json.dumps({"even": trail[-1] % 2 == 0}))
        return {"even": trail[-1] % 2 == 0}


class Timed(Stage):
    """Counts for a written time: how far that is gets measured once, from the data, and pinned."""

    makes: ClassVar[str] = "report"
    talk: Ref[Literal["dialogues"]]
    length: str = "3h"

    def settled(self, pins: Mapping[str, str]) -> "Timed":
        return self.model_copy(update={"length": pins.get("length", self.length)})

    def to_pin(self) -> Mapping[str, str]:
        return {"length": self.length} if self.length.endswith("h") else {}

    def pin(self, job: Job) -> Mapping[str, str]:
        lines = (job.open(self.talk).path / "chats.jsonl").read_text().splitlines()
        with (job.root / "measured").open("a") as log:
            log.write(f"{self.length}\n")
        return {"length": f"{len(lines)} steps"}

    def run(self, job: Job) -> Mapping[str, Any]:
        (job.folder / "report.json").write_text(json.dumps({"length": self.length}))
        return {"length": self.length}
