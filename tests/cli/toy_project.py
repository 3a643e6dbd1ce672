"""A small river of stages that take milliseconds, as a project folder, and the command line run on it in this process."""

import contextlib
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from pydantic import Field

from whorl.cli.app import main
from whorl.core.artifact import file_sha256
from whorl.core.config import UNHASHED, Ref
from whorl.core.errors import DataError
from whorl.core.stage import Job, Stage, Stopped
from whorl.flow.recipe import load_recipe
from whorl.flow.run import RunOptions, run_recipe
from whorl.flow.workspace import Workspace

RECIPE = """\
name: toy
seed: 7
stages:
  lines: {use: 'toy_project:Lines', path: numbers.txt}
  climb: {use: 'toy_project:Climb', from: lines, steps: 3}
  marks: {use: 'toy_project:Marks', of: climb}
"""
TRUST = ("--trust", "toy_project")


class Lines(Stage):
    """Numbers from a text file."""

    path: str = Field(json_schema_extra=UNHASHED)
    factor: int = 1

    def raw_inputs(self, root: Path) -> Mapping[str, str]:
        return {"path": file_sha256(root / self.path)}

    def run(self, job: Job) -> Mapping[str, Any]:
        words = (job.root / self.path).read_text().split()
        if not all(word.isdigit() for word in words):
            raise DataError(f"{self.path}: not all numbers")
        (job.folder / "numbers.json").write_text(json.dumps([int(word) * self.factor for word in words]))
        job.events.warn("numbers are only numbers")
        return {"numbers": len(words)}


class Caller(Lines):
    """Tries to open a connection; being told that nothing is there is fine."""

    def run(self, job: Job) -> Mapping[str, Any]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller, contextlib.suppress(OSError):
            caller.connect(("192.0.2.1", 9))  # a datagram socket: nothing is sent
        return super().run(job)


class Climb(Stage):
    """Adds one at every step, saving as it goes; stops when asked to."""

    makes: ClassVar[str] = "checkpoint"
    source: Ref[Literal["documents"]] = Field(alias="from")
    steps: int = 3
    pause_s: float = Field(default=0.0, json_schema_extra=UNHASHED)
    is_deaf: bool = Field(default=False, json_schema_extra=UNHASHED)  # never looks whether it shall stop

    def run(self, job: Job) -> Mapping[str, Any]:
        numbers = json.loads((job.open(self.source).path / "numbers.json").read_text())
        saved = job.scratch / "at.json"
        at = json.loads(saved.read_text()) if saved.is_file() else 0
        for step in range(at, self.steps):
            saved.write_text(json.dumps(step + 1))
            job.events.progress(step + 1, self.steps, "step", loss=1.0 / (step + 1), tokens_per_s=12345.0)
            if self.is_deaf:
                time.sleep(self.pause_s)
            elif job.stop.flag.wait(self.pause_s):
                raise Stopped(f"saved at step {step + 1}")
        (job.folder / "top.json").write_text(json.dumps(sum(numbers) + self.steps))
        return {"top": sum(numbers) + self.steps}


class Marks(Stage):
    """A report in the shape of an exam's."""

    makes: ClassVar[str] = "report"
    of: Ref[Literal["checkpoint"]]

    def run(self, job: Job) -> Mapping[str, Any]:
        top = json.loads((job.open(self.of).path / "top.json").read_text())
        (job.folder / "report.json").write_text(json.dumps(report(top)))
        return {"after.count": 0.75}


def report(top: int) -> dict[str, Any]:
    def result(of: str, value: float, *, is_learnt: bool) -> dict[str, Any]:
        sample = {"asked": f"how high is {top}?", "answered": str(top), "wanted": str(top)}
        return {
            "of": of,
            "value": value,
            "interval": [value - 0.05, value + 0.05],
            "is_learnt": is_learnt,
            "right": [sample],
            "wrong": [],
        }

    return {
        "models": [{"name": "before"}, {"name": "after"}],
        "suites": [
            {
                "use": "bits_per_byte",
                "title": "bits per byte",
                "figures": [
                    {
                        "of": "after",
                        "kind": "model",
                        "value": 1.627,
                        "unit": "bits per byte",
                        "n": 12,
                        "n_unit": "documents",
                        "interval": "not measured",
                    }
                ],
            }
        ],
        "skills": [
            {
                "use": "count",
                "title": "count to the top",
                "is_recall": False,
                "n": 300,
                "majority": {"answer": "1", "value": 0.25},
                "results": [result("before", 0.0, is_learnt=False), result("after", 0.75, is_learnt=True)],
            }
        ],
    }


@dataclass(frozen=True)
class Said:
    """What a command left: its exit code and both streams."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The JSON lines on standard output."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True)
class Shell:
    """The command line, in a project folder that is the current one."""

    root: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> Said:
        self.capsys.readouterr()
        code = main(list(arguments))
        streams = self.capsys.readouterr()
        return Said(code, streams.out, streams.err)


def make_project(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "recipe.yaml").write_text(RECIPE)
    (root / "numbers.txt").write_text("3\n4\n5\n")
    return root


def made_project(root: Path) -> Path:
    """A project that ran once, in this process."""
    make_project(root)
    recipe = load_recipe(root, trust=["toy_project"])
    run_recipe(recipe, Workspace(root), RunOptions(launcher="inline", trust=("toy_project",), workers=1))
    return root
