"""How bench.train_memory judges its arms, and that it runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench.train_memory import ARMS, _changed, _dearer

ROOT = Path(__file__).parents[2]


def peaks(*megabytes):
    return {name: {"peak_mb": float(one)} for name, one in zip(ARMS, megabytes, strict=True)}


def test_every_arm_must_need_less_than_the_one_before():
    assert _dearer(peaks(40, 30, 20, 10)) == []
    assert _dearer(peaks(40, 30, 30, 10)) == ["chunked, selective holds 30 MB, chunked 30"]


def test_recomputing_may_change_no_loss_and_chunking_only_the_rounding():
    runs = {name: [{"losses": [2.0, 1.0]}] for name in ARMS}
    assert _changed(runs) == []
    assert _changed(runs | {"naive": [{"losses": [2.0, 1.001]}]}) == []
    assert "differ by 0.5000" in _changed(runs | {"naive": [{"losses": [2.5, 1.0]}]})[0]
    assert "losses change" in _changed(runs | {"chunked, full": [{"losses": [2.0, 1.0000001]}]})[0]


@pytest.mark.slow
def test_a_check_runs_every_arm_and_ends_with_figures():
    command = [sys.executable, "-m", "bench.train_memory", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert set(figures["by_arm"]) == set(ARMS)
    assert figures["missed"] == []
