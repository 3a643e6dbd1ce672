"""bench/peer_scripts/pretrain_turns: the parent's side of the pipe, for every arm of bench.pretrain_cpu.

An arm is a process that trains a few steps when it is told to and waits on a pipe otherwise: arms take turns on the same
cores. The first line it reads is its task, every later one how many steps to take; each is answered with one line. Imports
nothing but numpy: it runs in the environments of the peers too.
"""

import json
import os
import sys
import time
from typing import Any, TextIO

import numpy as np

Task = dict[str, Any]


class Turns:
    """Steps on request. Call `begin` before the first step, `done` after each one."""

    def __init__(self) -> None:
        self._answers = _claimed_stdout()
        self.task: Task = json.loads(sys.stdin.readline())
        self._left = 0
        self._ends: list[float] = []
        self._losses: list[float] = []

    def begin(self, **facts: Any) -> None:
        """Everything is built: say so, with whatever the parent should know, and wait for the first turn."""
        self._say({"ready": True, **facts})
        self._wait()

    def done(self, loss: float) -> None:
        """One step is finished. Ends the process when the parent wants no more."""
        self._ends.append(time.perf_counter())
        self._losses.append(loss)
        self._left -= 1
        if not self._left:
            cpu_s = time.process_time() - self._cpu
            self._say({"seconds": np.diff(self._ends).tolist(), "losses": self._losses, "cpu_s": cpu_s})
            self._wait()

    def _wait(self) -> None:
        before = time.process_time()
        line = sys.stdin.readline()
        if not line:
            sys.stdout.flush()
            os._exit(0)  # a trainer that is stopped in the middle would write what nobody asked for
        self._left = int(line)
        self._say({"cpu_s_waiting": time.process_time() - before})
        self._cpu = time.process_time()
        self._losses = []
        self._ends = [time.perf_counter()]

    def _say(self, answer: dict[str, Any]) -> None:
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()


def batches(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Ids and targets of every step, (steps, rows, width) int64; a target of -100 carries no loss."""
    return np.load(task["ids"], mmap_mode="r"), np.load(task["targets"], mmap_mode="r")


def _claimed_stdout() -> TextIO:
    """Standard output for answers alone: whatever a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers
