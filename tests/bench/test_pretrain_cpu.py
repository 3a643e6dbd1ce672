"""What bench.pretrain_cpu hands to its arms, and how it judges what they answer."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bench import pretrain_cpu as bench

SHAPE = {"vocab": 50, "width": 32, "depth": 1, "heads": 2, "mlp_width": 32, "norm_eps": 1e-5, "init_std": 0.02}


@pytest.fixture
def task(tmp_path: Path) -> dict:
    ids = np.random.default_rng(0).integers(0, 50, 12_345)
    shards = SimpleNamespace(ids=ids, lengths=np.array([12_000, 345]))
    return bench.written_task(tmp_path / "task", shards, shape=SHAPE, steps=2)


def test_every_arm_reads_the_same_rows_and_whole_documents(task):
    ids, targets = np.load(task["ids"]), np.load(task["targets"])
    assert ids.shape == targets.shape == (2, bench.ROWS, bench.WIDTH)
    assert np.array_equal(targets[..., :-1], ids[..., 1:]), "a row is one document, so a target is the next id"
    assert (targets[..., -1] == -100).all()
    assert np.load(task["lengths"]).tolist() == [bench.WIDTH] * 48
    assert np.load(task["all_lengths"]).tolist() == [12_000, 345]


def test_our_arm_answers_turn_by_turn_and_hardly_computes_while_it_waits(task, tmp_path):
    arm = bench.Running(bench.OURS, Path(sys.executable), {**task, "threads": 1}, tmp_path / "log")
    turns = [arm.take(1), arm.take(1)]
    arm.end()
    assert arm.facts["ready"]
    assert arm.facts["parameters"] == 50 * 32 + 4 * 32**2 + 3 * 32**2 + 3 * 32
    assert [len(turn["seconds"]) for turn in turns] == [1, 1]
    assert turns[0]["losses"][0] == pytest.approx(np.log(50), abs=0.3)
    assert turns[1]["cpu_s_waiting"] < 0.5


def test_an_arm_that_ends_early_ends_the_bench_with_its_last_words(tmp_path):
    script = bench.SCRIPTS / "no_such_arm.py"
    with pytest.raises(SystemExit, match="no_such_arm"):
        bench.Running(bench.Arm("gone", "hf", script.name, {}), Path(sys.executable), {}, tmp_path / "log")


def found(hf: float, trainer: float, plain: float) -> dict:
    slow = {"hf": hf, "trainer": trainer, "plain": plain, "whorl": 1.0, "packed": 1.0}
    # One arm of each peer is twice as slow as its fastest, and one turn was disturbed for all alike.
    names: dict[str, list[float]] = {}
    for arm in bench.ARMS:
        factor = slow[arm.group] * (2 if arm.group in {a.group for a in bench.ARMS if a.name in names} - {"whorl"} else 1)
        names[arm.name] = [0.5 * factor, 0.5 * factor, 5 * factor]
    facts = {"flops_per_token": 1e6, "parameters": 7, "dtype": "bf16"}
    return {"seconds": names, "waiting_s": dict.fromkeys(names, 0.01), "facts": facts}


def test_a_ratio_is_against_the_fastest_of_its_kind_and_round_by_round():
    figures = bench._figures(found(1.3, 2.6, 1.2), peak=2e10)
    assert figures["ratio"] == {"hf": 1.3, "trainer": 2.6, "plain": 1.2}
    assert figures["ours"] == round(bench.ROWS * bench.WIDTH / 0.5)
    assert figures["share_of_peak"] == pytest.approx(bench.ROWS * bench.WIDTH / 0.5 * 1e6 / 2e10, abs=1e-3)


def test_each_bar_is_held_at_each_size():
    figures = {"6M": bench._figures(found(1.3, 2.6, 1.3), peak=1e10), "30M": bench._figures(found(1.2, 2.6, 1.3), peak=1e10)}
    assert bench._missed(figures, {"apart": 0.01, "spread": 0.02}) == ["30M: 1.2 against hf sdpa, want 1.25"]
    assert bench._missed(figures, {"apart": 0.02, "spread": 0.02})[1:] == ["mean losses are 0.0200 apart"]


def test_peer_scripts_can_be_read_without_their_environments():
    for script in sorted(bench.SCRIPTS.glob("pretrain_*.py")):
        subprocess.run([sys.executable, "-m", "py_compile", str(script)], check=True)
