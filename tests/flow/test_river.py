"""The toy river: plan, run, kill, resume, trace, verify and sweep, over stages that take milliseconds."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from whorl.core.errors import ArtifactError, ConfigError, DataError, ResourceError
from whorl.core.stage import Stopped, StopSignal
from whorl.flow.adopt import adopt
from whorl.flow.plan import make_plan
from whorl.flow.recipe import Recipe, load_recipe
from whorl.flow.run import Outcome, RunOptions, run_recipe
from whorl.flow.sweep import plan_sweep, sweep
from whorl.flow.trace import trace, walk
from whorl.flow.verify import verify
from whorl.flow.workspace import Workspace


def load(root: Path, *overrides: str) -> Recipe:
    return load_recipe(root, overrides, trust=["toy_river"])


def run(root: Path, *overrides: str, **options: object) -> Outcome:
    settings = {"launcher": "inline", "trust": ("toy_river",), "workers": 1, **options}
    return run_recipe(load(root, *overrides), Workspace(root), RunOptions(**settings))


def states(root: Path, *overrides: str) -> dict[str, str]:
    return {stage.name: stage.state for stage in make_plan(load(root, *overrides), Workspace(root)).stages}


def payload(root: Path, name: str) -> dict[str, bytes]:
    folder = Workspace(root).find(name).path
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_second_run_makes_nothing(project):
    assert run(project).made == ("lines", "walk", "parity")
    assert run(project).made == ()
    assert set(states(project).values()) == {"cached"}


def test_plan_says_which_field_made_a_stage_stale_and_what_merely_depends(project):
    run(project)
    plan = make_plan(load(project, "stages.walk.steps=13"), Workspace(project))
    found = {stage.name: (stage.state, [str(change) for change in stage.why]) for stage in plan.stages}
    assert found == {
        "lines": ("cached", []),
        "walk": ("stale", ["steps: 12 -> 13"]),
        "parity": ("depends", []),
    }


def test_plan_says_which_raw_file_changed(project):
    run(project)
    (project / "numbers.txt").write_text("3\n4\n6\n")
    plan = make_plan(load(project), Workspace(project))
    assert [change.place for change in plan.stages[0].why] == ["inputs.raw.path"]
    assert plan.stages[1].waits_for == ("lines",)


def test_the_wave_stops_where_a_rebuilt_parent_comes_out_equal(project):
    run(project)
    (project / "numbers.txt").write_text("3 4 5")
    assert states(project) == {"lines": "stale", "walk": "depends", "parity": "depends"}
    assert run(project).made == ("lines",)


def test_an_unhashed_field_and_a_rename_do_not_make_a_stage_stale(project):
    run(project)
    assert states(project, "stages.walk.pause_s=0.001")["walk"] == "cached"
    text = (project / "recipe.yaml").read_text().replace("lines:", "renamed:").replace("from: lines", "from: renamed")
    (project / "recipe.yaml").write_text(text)
    assert set(states(project).values()) == {"cached"}


def test_another_seed_remakes_only_what_draws_random_numbers(project):
    run(project)
    assert states(project, "seed=8") == {"lines": "cached", "walk": "stale", "parity": "depends"}


def test_a_stage_killed_at_any_step_resumes_to_the_same_bytes(project):
    run(project)
    wanted = payload(project, "walk")
    for die_at in (1, 6, 12):
        shutil.rmtree(project / ".whorl", ignore_errors=False, onerror=_force)
        (project / "died").unlink(missing_ok=True)
        with pytest.raises(ResourceError, match="SIGKILL"):
            run(project, f"stages.walk.die_at={die_at}", launcher="process")
        assert states(project)["walk"] == "unfinished"
        run(project, launcher="process")
        assert payload(project, "walk") == wanted


def _force(function, path, _error):
    Path(path).chmod(0o755)
    Path(path).parent.chmod(0o755)
    function(path)


def test_killing_the_whole_run_loses_nothing_and_the_next_run_takes_over_at_once(project):
    run(project)
    wanted = payload(project, "walk")
    shutil.rmtree(project / ".whorl", onerror=_force)
    script = (
        "from pathlib import Path; from whorl.flow.run import *; from whorl.flow.recipe import load_recipe; "
        "from whorl.flow.workspace import Workspace; root = Path('.').resolve(); "
        "run_recipe(load_recipe(root, ['stages.walk.pause_s=0.5'], trust=['toy_river']), Workspace(root), "
        "RunOptions(trust=('toy_river',), workers=1))"
    )
    child = subprocess.Popen([sys.executable, "-c", script], cwd=project)
    wait_for(lambda: list((project / ".whorl").glob("store/checkpoint/*/scratch/state.json")))
    child.send_signal(signal.SIGKILL)
    child.wait()
    wait_for(lambda: not _worker_alive(project))
    outcome = run(project)
    assert "walk" in outcome.made
    assert payload(project, "walk") == wanted


def _worker_alive(project: Path) -> bool:
    lease = next((project / ".whorl" / "leases").glob("checkpoint-*.json"))
    return Path(f"/proc/{json.loads(lease.read_text())['pid']}/cmdline").exists()


def wait_for(condition, timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def test_asked_to_stop_a_stage_saves_and_the_next_run_goes_on(project):
    stop = StopSignal()

    def stop_at_first_progress(event):
        if event["kind"] == "progress":
            stop.flag.set()

    with pytest.raises(Stopped, match="saved at step"):
        run(project, "stages.walk.pause_s=0.3", launcher="process", stop=stop, on_event=stop_at_first_progress)
    assert states(project)["walk"] == "unfinished"
    assert "walk" in run(project).made


def test_while_a_live_process_writes_a_second_run_is_told_who(project):
    workspace = Workspace(project)
    run(project, last="lines")
    fingerprint = make_plan(load(project), workspace).stages[1].resolved.fingerprint
    with workspace.store.lease("checkpoint", fingerprint), pytest.raises(ArtifactError, match=f"process {os.getpid()}"):
        run(project)


def test_to_runs_ancestors_only_and_from_refuses_stale_ones(project):
    assert run(project, last="walk").made == ("lines", "walk")
    assert run(project, first="parity").made == ("parity",)
    with pytest.raises(ArtifactError, match="'lines' is not up to date and comes before --from walk"):
        run(project, "stages.lines.factor=2", first="walk")


def test_a_failing_stage_names_its_file_and_leaves_the_finished_ones(project):
    (project / "numbers.txt").write_text("3 x")
    for launcher in ("inline", "process"):
        with pytest.raises(DataError, match=r"numbers.txt: invalid literal"):
            run(project, launcher=launcher)


def test_estimates_come_from_earlier_runs_and_are_graded(project):
    workspace = Workspace(project)
    assert make_plan(load(project), workspace).seconds is None
    run(project, "stages.walk.pause_s=0.01")
    plan = make_plan(load(project, "stages.walk.steps=24"), workspace)
    walk_stage = plan.stages[1]
    assert walk_stage.cost is not None
    measured = make_plan(load(project, "stages.walk.steps=12", "seed=9"), workspace).stages[1].cost
    assert walk_stage.cost.seconds == pytest.approx(2 * measured.seconds)
    outcome = run(project, "seed=9")
    assert [grade.stage for grade in outcome.grades] == ["walk", "parity"]
    assert all(grade.predicted_s is not None for grade in outcome.grades)


def test_trace_walks_to_the_raw_file(project):
    run(project)
    steps = list(walk(trace(Workspace(project), "parity")))
    assert [step.stage for step in steps] == ["toy_river:Parity", "toy_river:Walk", "toy_river:Lines"]
    assert list(steps[-1].raw) == ["path"]
    assert steps[0].names == ("parity@1",)


def test_verify_finds_an_altered_file_and_nothing_else(project):
    run(project)
    workspace = Workspace(project)
    assert verify(workspace) == []
    file = workspace.find("walk").path / "trail.json"
    file.chmod(0o644)
    file.write_text("[]")
    assert [(fault.artifact[:10], fault.what) for fault in verify(workspace)] == [
        ("checkpoint", "trail.json: content differs from the manifest")
    ]


def test_a_moved_workspace_is_still_whole_and_cached(project, tmp_path):
    run(project)
    moved = tmp_path / "elsewhere"
    project.rename(moved)
    assert verify(Workspace(moved)) == []
    assert set(states(moved).values()) == {"cached"}


def test_sweep_keeps_the_newest_of_every_name_and_says_what_only_the_original_brings_back(project):
    run(project)
    run(project, "stages.walk.steps=13")
    workspace = Workspace(project)
    (project / "chats.jsonl").write_text('{"messages": [{"role": "user", "content": "hi"}]}\n')
    adopt(workspace, project / "chats.jsonl", "dialogues")
    plan = plan_sweep(workspace)
    found = {item.what.split()[0]: item.why_unrebuildable for item in plan.swept if "cache" not in item.what}
    assert found == {
        "checkpoint": "no stage 'toy_river:Walk' here any more",
        "state": "no stage 'toy_river:Walk' here any more",
        "report": "no stage 'toy_river:Parity' here any more",
        "dialogues": "it was adopted; only the original can bring it back",
    }
    sweep(plan)
    assert verify(workspace) == []
    assert set(states(project, "stages.walk.steps=13").values()) == {"cached"}


def test_adopting_twice_adopts_once_and_checks_what_the_kind_must_hold(project):
    workspace = Workspace(project)
    (project / "chats.jsonl").write_text('{"messages": []}\n')
    first = adopt(workspace, project / "chats.jsonl", "dialogues", name="chats")
    assert adopt(workspace, project / "chats.jsonl", "dialogues").fingerprint == first.fingerprint
    assert workspace.find("chats@1").content == first.content
    with pytest.raises(DataError, match=r"no config.json in it, which every checkpoint must hold"):
        adopt(workspace, project / "chats.jsonl", "checkpoint")


def test_source_drift_warns_and_fails_when_strict(project, monkeypatch):
    run(project)
    monkeypatch.setattr("whorl.flow.run.source_digest", lambda stage: "another")
    seen = []
    run(project, on_event=lambda event: seen.append(event["kind"]))
    assert "source_drift" in seen
    with pytest.raises(ArtifactError, match="code_version"):
        run(project, is_strict=True)


def test_events_are_kept_in_the_runs_file_and_manifests_hold_no_times(project):
    outcome = run(project)
    lines = (project / ".whorl" / "runs" / outcome.run / "events.jsonl").read_text().splitlines()
    kinds = [json.loads(line)["kind"] for line in lines]
    assert kinds[0] == "stage_started"
    assert kinds[-1] == "run_ended"
    assert "seconds" not in outcome.artifacts["walk"].manifest


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stages.walk.from=line", "walk.from: no stage 'line'; did you mean 'lines'?"),
        ("stages.parity.walk=lines", "parity.walk: stage 'lines' makes documents, wanted checkpoint"),
        ("stages.lines={use: 'toy_river:Walk', from: walk}", "circle: lines -> walk -> lines"),
    ],
)
def test_a_reference_that_cannot_hold_is_an_error_that_says_why(project, override, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        load(project, override)


def test_a_run_that_died_between_two_publications_publishes_both_again(project):
    run(project)
    workspace = Workspace(project)
    walked = workspace.find("walk")
    wanted = payload(project, "walk")
    workspace.store.remove(walked)  # the sibling `state` stays: it is published first
    assert states(project)["walk"] == "new"
    assert "walk" in run(project).made
    assert payload(project, "walk") == wanted
    assert verify(workspace) == []


def test_a_longer_stage_is_estimated_longer_even_while_its_parent_is_not_made(project):
    run(project, "stages.walk.pause_s=0.01")
    workspace = Workspace(project)
    plans = [make_plan(load(project, "stages.lines.factor=2", f"stages.walk.steps={n}"), workspace) for n in (12, 36)]
    assert plans[0].stages[1].waits_for == ("lines",)
    assert plans[1].stages[1].cost.seconds == pytest.approx(3 * plans[0].stages[1].cost.seconds)


def test_a_length_in_time_is_measured_once_and_kept_until_the_recipe_says_something_else(project):
    (project / "chats.jsonl").write_text('{"messages": []}\n{"messages": []}\n')
    (project / "recipe.yaml").write_text(
        "name: timed\nstages:\n  timed: {use: 'toy_river:Timed', talk: {use: dialogues, path: chats.jsonl}}\n"
    )
    first, again = (run(project, launcher=launcher).artifacts["timed"] for launcher in ("process", "inline"))
    assert first.counts["length"] == "2 steps"
    assert again.fingerprint == first.fingerprint
    assert (project / "measured").read_text() == "3h\n"
    assert run(project, "stages.timed.length=4h").artifacts["timed"].fingerprint == first.fingerprint  # came out equal
    assert (project / "measured").read_text() == "3h\n4h\n"
