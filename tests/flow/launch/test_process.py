import os
from dataclasses import replace

import pytest

from whorl.core.artifact import Identity, Store
from whorl.core.config import worker_environment
from whorl.core.errors import ArtifactError, DataError, ResourceError
from whorl.core.stage import StopSignal
from whorl.flow.launch import Launcher
from whorl.flow.work import WorkOrder


def order(root, **stage) -> WorkOrder:
    identity = {"stage": stage["use"], "code_version": 1, "config": {}, "inputs": {}, "seed": None}
    return WorkOrder(root=str(root), name="it", stage=stage, inputs={}, seed=7, identity=identity, trust=("toy_river",))


def launch(work: WorkOrder) -> list:
    seen = []
    Launcher.model_validate({"use": "process"}).launch(work, seen.append, StopSignal())
    return seen


def test_memory_and_time_of_the_process_are_measured(project):
    finished = launch(order(project, use="toy_river:Lines", path="numbers.txt"))[-1]
    assert finished["memory_bytes"] > 10_000_000
    assert finished["seconds"] > 0


def test_an_error_of_the_stage_arrives_as_itself(project):
    (project / "numbers.txt").write_text("three")
    with pytest.raises(DataError, match=r"numbers.txt: invalid literal"):
        launch(order(project, use="toy_river:Lines", path="numbers.txt"))


def test_a_fault_of_our_own_arrives_with_its_traceback(project):
    with pytest.raises(ResourceError, match=r"(?s)please report it.*KeyError"):
        launch(order(project, use="toy_river:Walk", **{"from": "lines"}))


def test_a_killed_process_is_named_with_its_signal(project):
    lines = launch(order(project, use="toy_river:Lines", path="numbers.txt"))[-1]
    walk = order(project, use="toy_river:Walk", die_at=3, **{"from": "lines"})
    with pytest.raises(ResourceError, match="SIGKILL"):
        launch(replace(walk, inputs={"lines": ("documents", lines["fingerprint"])}))


def test_a_stage_held_by_a_live_process_is_refused_with_its_pid(project):
    work = order(project, use="toy_river:Lines", path="numbers.txt")
    lease = Store(project / ".whorl").lease("documents", Identity(**work.identity).fingerprint)
    with lease, pytest.raises(ArtifactError, match=f"process {os.getpid()}"):
        launch(work)


def test_threads_of_a_stage_sleep_at_barriers_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert worker_environment()["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    assert worker_environment()["OMP_WAIT_POLICY"] == "active"
