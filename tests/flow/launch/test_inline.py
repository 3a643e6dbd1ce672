from pathlib import Path

import pytest

from whorl.core.errors import ConfigError
from whorl.core.stage import StopSignal
from whorl.flow.launch import Launcher
from whorl.flow.work import WorkOrder


def order(root: Path, path: str) -> WorkOrder:
    stage = {"use": "toy_river:Lines", "path": path}
    identity = {"stage": "toy_river:Lines", "code_version": 1, "config": {"factor": 1}, "inputs": {}, "seed": None}
    return WorkOrder(root=str(root), name="lines", stage=stage, inputs={}, seed=7, identity=identity, trust=("toy_river",))


def test_events_of_a_stage_carried_out_here_reach_the_caller_and_end_with_the_artifact(project):
    seen = []
    Launcher.model_validate({"use": "inline"}).launch(order(project, "numbers.txt"), seen.append, StopSignal())
    assert seen[-1]["kind"] == "stage_finished"
    assert (project / ".whorl/store/documents" / seen[-1]["fingerprint"] / "numbers.json").read_text() == "[3, 4, 5]"


def test_a_launcher_nobody_knows_is_refused_with_the_nearest_name():
    with pytest.raises(Exception, match="did you mean 'inline'"):
        Launcher.model_validate({"use": "inlin"})
    assert Launcher.names() == ("inline", "process")
    with pytest.raises(ConfigError, match="no 'ray' behind whorl"):
        Launcher.find("ray", frozenset())


def test_what_another_run_finished_on_the_way_here_is_not_done_again(project):
    work, seen = order(project, "numbers.txt"), []
    inline = Launcher.model_validate({"use": "inline"})
    inline.launch(work, seen.append, StopSignal())
    inline.launch(work, seen.append, StopSignal())
    assert [event["kind"] for event in seen] == ["stage_finished", "stage_cached"]
