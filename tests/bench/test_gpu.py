"""The GPU benches on a toy: every line of theirs but what only a GPU does is known to run."""

import json
from pathlib import Path

import pytest
import torch
from bench.gpu_room import Clocked, line, room

from bench import gpu_1b, gpu_124m, gpu_ablation
from whorl.model.count import parameters
from whorl.model.peak import Peak
from whorl.tokens.shards import TOKENIZER_FOLDER, TokenShards
from whorl.tokens.tokenizer import Tokenizer

BENCHES = {"gpu_124m": gpu_124m, "gpu_1b": gpu_1b, "gpu_ablation": gpu_ablation}
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def said(capsys):
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


@pytest.mark.parametrize("name", BENCHES)
def test_a_check_trains_every_arm_and_claims_no_figure(name, capsys):
    assert BENCHES[name].main(["--check"]) == 0
    found = said(capsys)
    assert found["bench"] == name
    assert found["is_check"]
    assert found["missed"] == []
    assert [found[key] for key in ("ours", "peer", "ratio", "spread")] == [None] * 4
    assert all(arm["loss_last"] < arm["loss_first"] - 0.3 for arm in found["arms"].values())
    assert {"bench", "ours", "peer", "ratio", "unit", "n", "spread", "machine", "device"} <= set(found)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU to measure")
@pytest.mark.parametrize("name", BENCHES)
def test_without_a_gpu_nothing_is_measured_and_that_is_no_pass(name, capsys):
    assert BENCHES[name].main([]) == 1
    found = said(capsys)
    assert found["ours"] is None
    assert found["missed"] == ["no CUDA device: not measured"]


@pytest.mark.parity
def test_hf_trainer_takes_the_same_shape_and_ids(capsys):
    pythons = [path.parents[3] / "bin" / "python" for path in ROOT.glob(".venv-bench-*/lib/*/site-packages/accelerate")]
    if not pythons:
        pytest.skip("no environment with transformers and accelerate: run python -m bench.pretrain_cpu once")
    assert gpu_1b.main(["--check", "--peer-python", str(pythons[0])]) == 0
    found = said(capsys)
    assert found["peers"]["trainer"]["mean_loss"] == pytest.approx(found["arms"]["ours"]["loss_first"], abs=0.5)


def test_the_shapes_have_the_sizes_they_are_called_by():
    millions = {name: parameters(arm.config(50_304)).total / 1e6 for name, arm in gpu_ablation.SHAPES.items()}
    millions["gpt2"] = parameters(gpu_124m.GPT2.config(50_304)).total / 1e6
    assert millions == {
        "350m": pytest.approx(360, abs=15),
        "1b": pytest.approx(1236, abs=5),
        "gpt2": pytest.approx(124.5, abs=0.1),
    }


def test_shards_hold_python_sources_within_their_budget(tmp_path):
    found = room(tmp_path, is_check=True)
    shards = TokenShards.open(tmp_path, "train")
    assert 300_000 < shards.num_bytes < 1_000_000
    assert found.num_tokens == shards.num_tokens
    assert found.vocab_size % 64 == 0
    assert "import" in Tokenizer.load(tmp_path / TOKENIZER_FOLDER).decode(shards.ids[:20_000])


def test_figures_are_medians_and_shares_of_the_named_peaks():
    clocked = Clocked([5.0, 4.0], [90.0, 100.0, 130.0], 3.0, 2_000_000_000, 1_000_000)
    found = clocked.figures(Peak(1e9, "measured", 2e9))
    assert (found["tokens_per_s"], found["spread"]) == (100, [90, 130])
    assert (found["mfu"], found["mfu_of_measured"], found["peak_memory_gb"]) == (0.05, 0.1, 2.0)
    assert clocked.has_learnt
    assert not Clocked([4.0, float("nan")], [1.0], 0.0, 0, 1).has_learnt


def test_a_miss_is_exit_code_one(capsys):
    assert line("gpu_x", {"ours": 1.0, "ratio": 2.0}, ["too slow"], is_check=False) == 1
    found = said(capsys)
    assert (found["ours"], found["missed"]) == (1.0, ["too slow"])


def test_a_slow_run_or_a_missing_peer_misses_its_bars():
    slow = Clocked([5.0, 4.0], [100.0], 1.0, 1, 1_000_000)
    peak = Peak(1e9, "measured", 1e9)
    assert gpu_1b._missed(slow, {}, peak) == [
        "no peer: transformers and accelerate are not there, or failed",
        "MFU 0.100 < 0.4",
    ]
    assert gpu_1b._missed(slow, {"trainer": {"tokens_per_s": 90}}, peak)[0] == "ratio 1.11 < 1.3"
    fast = Clocked([5.0, 4.0], [500.0], 1.0, 1, 1_000_000)
    assert gpu_1b._missed(fast, {"trainer": {"tokens_per_s": 300}}, peak) == []


def test_arms_that_part_from_the_base_are_named():
    arms = {name: Clocked([5.0, last], [1.0], 1.0, 1, 1) for name, last in {"base": 4.0, "full": 4.3, "fp8": 4.15}.items()}
    assert gpu_ablation._apart(arms) == ["full ends 0.300 nats from the base"]
