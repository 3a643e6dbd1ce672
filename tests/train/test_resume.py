"""An interrupted fit, run again, leaves the bytes of one that was never interrupted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from toy_training import CHATS, GAPS, PAIRS, content, fit

from whorl.core.seed import Seed
from whorl.train.objectives import Objective
from whorl.train.optimizers import Optimizer

PROGRAM = Path(__file__).with_name("toy_training.py")
DATA = {"next_token": {}, "sft": CHATS, "masked": GAPS, "next_sentence": PAIRS}


class TornError(Exception):
    """What the test throws into a run."""


def interrupt_at(ground, draft, step, stage):
    """Run until the loss of a step was told, then throw."""

    def throw(event):
        if event["kind"] == "metric" and "loss" in event and event["step"] == step:
            raise TornError

    with pytest.raises(TornError):
        stage.run(ground.job(draft, sinks=[throw]))


@pytest.mark.parametrize("optimizer", Optimizer.names())
@pytest.mark.parametrize("objective", Objective.names())
def test_a_run_interrupted_three_times_equals_an_uninterrupted_one(objective, optimizer, ground, tmp_path):
    stage = fit(**DATA[objective], optimizer={"use": optimizer}, save_every=0, micro_rows=3, dropout=0.1)
    stage.run(ground.job(tmp_path / "whole"))
    draw = Seed(0).child(objective).child(optimizer).generator()
    for step in sorted(draw.choice(range(2, 13), size=3, replace=False).tolist()):
        interrupt_at(ground, tmp_path / "torn", step, stage)
    stage.run(ground.job(tmp_path / "torn"))
    assert content(tmp_path / "torn") == content(tmp_path / "whole")


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_a_run_in_half_precision_resumes_bit_for_bit_too(dtype, ground, tmp_path):
    stage = fit(dtype=dtype, save_every=0, rows=2, length="6 steps")
    stage.run(ground.job(tmp_path / "whole"))
    interrupt_at(ground, tmp_path / "torn", 3, stage)
    stage.run(ground.job(tmp_path / "torn"))
    assert content(tmp_path / "torn") == content(tmp_path / "whole")


def test_a_mixture_of_experts_resumes_bit_for_bit_too(ground, tmp_path):
    experts = {"use": "qwen3_moe", "depth": 2, "width": 32, "heads": 2, "mlp_width": 64, "experts": 4, "experts_per_token": 2}
    stage = fit(model=experts, save_every=0, micro_rows=3)
    stage.run(ground.job(tmp_path / "whole"))
    interrupt_at(ground, tmp_path / "torn", 6, stage)
    stage.run(ground.job(tmp_path / "torn"))
    assert content(tmp_path / "torn") == content(tmp_path / "whole")


def test_a_run_interrupted_while_it_writes_the_checkpoint_goes_on(ground, tmp_path):
    stage = fit(save_every=0)
    stage.run(ground.job(tmp_path / "whole"))
    interrupt_at(ground, tmp_path / "torn", 9, stage)
    (tmp_path / "torn/checkpoint/model.safetensors").write_bytes(b"half")
    (tmp_path / "torn/state/moments.safetensors").write_bytes(b"half")
    stage.run(ground.job(tmp_path / "torn"))
    assert content(tmp_path / "torn") == content(tmp_path / "whole")


def test_a_process_killed_at_any_moment_and_run_again_equals_one_that_was_not(ground, tmp_path):
    """Two real kill -9 of a subprocess that saves at every step; the rest of its 60 steps outlasts the kill."""
    stage = {"save_every": 1e9, "length": "60 steps", "dropout": 0.1, "guard": {"keep_every": 4}}
    fit(**stage).run(ground.job(tmp_path / "whole"))
    for step in (7, 15):
        with start(ground, tmp_path / "torn", {**stage, "save_every": 0}) as process:
            next(line for line in process.stdout if json.loads(line).get("step", 0) >= step)
            process.kill()
            assert process.wait() == -9
    assert list((tmp_path / "torn/checkpoint/scratch").glob("step-*"))
    with start(ground, tmp_path / "torn", stage) as process:
        steps = [json.loads(line).get("step", 60) for line in process.stdout]
        assert process.wait() == 0
    assert min(steps) > 7  # it went on from what was saved
    assert content(tmp_path / "torn") == content(tmp_path / "whole")


def start(ground, draft, stage):
    command = [sys.executable, str(PROGRAM), str(ground.root), str(draft), json.dumps(stage)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
