"""Ctrl-C on a real command: the first saves and says how to go on, the second ends it at once."""

import json
import os
import signal
import subprocess
import sys
import time

from toy_project import TRUST


def begun(root, *overrides: str) -> "subprocess.Popen[str]":
    """A run in a process of its own, once its second stage has saved something."""
    command = [sys.executable, "-m", "whorl", "run", *TRUST, *overrides, "--json"]
    child = subprocess.Popen(command, cwd=root, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list((root / ".whorl").glob("store/checkpoint/*/scratch/at.json")):
        assert time.monotonic() < deadline, "waited too long"
        assert child.poll() is None, child.communicate()
        time.sleep(0.05)
    return child


def test_ctrl_c_saves_says_how_to_go_on_and_the_same_command_goes_on(shell):
    child = begun(shell.root, "stages.climb.steps=200", "stages.climb.pause_s=0.3")
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "stopping: the stage saves its work first" in err
    last = json.loads(out.splitlines()[-1])
    assert last["outcome"] == "stopped"
    assert last["go_on"] == f"whorl run stages.climb.steps=200 stages.climb.pause_s=0.3 {' '.join(TRUST)}"
    saved = next((shell.root / ".whorl").glob("store/checkpoint/*/scratch/at.json"))
    assert 1 <= json.loads(saved.read_text()) < 200
    again = shell("run", *TRUST, "stages.climb.steps=200", "stages.climb.pause_s=0")
    assert again.code == 0
    assert "went on from what was saved" in again.out
    whole = json.loads(next((shell.root / ".whorl").glob("store/checkpoint/*/top.json")).read_text())
    assert whole == 3 + 4 + 5 + 200


def test_a_second_ctrl_c_ends_a_stage_that_does_not_listen(shell):
    child = begun(shell.root, "stages.climb.pause_s=60", "stages.climb.is_deaf=true")
    child.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert child.poll() is None
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=20)
    assert child.returncode == 1
    assert json.loads(out.splitlines()[-1])["message"] == "ended at once; what had been saved is kept"
