import json
import shutil

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from toy_training import CHATS, MODEL, Ground, content, fit

from whorl.core.artifact import Artifact
from whorl.core.canonical import plain
from whorl.core.errors import ArtifactError, ConfigError, DataError
from whorl.core.stage import Stage, Stopped
from whorl.model import checkpoint
from whorl.model.parallel import pick_dtype
from whorl.tokens.learn import learn_tokenizer
from whorl.tokens.tokenizer import Tokenizer


def run(ground, draft, **changes):
    """The counts and events of one whole fit."""
    said = []
    counts = fit(**changes).run(ground.job(draft, sinks=[said.append]))
    return counts, said


# What it makes


def test_a_fresh_model_learns_and_its_folder_loads(ground, tmp_path):
    counts, _ = run(ground, tmp_path)
    loaded = checkpoint.load(tmp_path / "checkpoint")
    assert (loaded.family, loaded.config.depth, loaded.config.vocab_size) == ("qwen3", 2, ground.tokenizer.size)
    assert loaded.extra["tokenizer"] == ground.tokenizer.fingerprint == Tokenizer.load(tmp_path / "checkpoint").fingerprint
    assert loaded.extra["trained"] == {k: counts[k] for k in ("objective", "dtype", "steps", "tokens", "targets")}
    assert counts["parameters"] == sum(parameter.numel() for parameter in loaded.model.parameters())
    curve = json.loads((tmp_path / "checkpoint" / "training.json").read_text())
    assert curve["loss"][0][1] > curve["loss"][-1][1] + 1
    assert [step for step, _ in curve["held_out_bits_per_byte"]] == [0, 5, 10, 12]
    assert counts["held_out_bits_per_byte"] == curve["held_out_bits_per_byte"][-1][1] < curve["held_out_bits_per_byte"][0][1]


def test_the_state_beside_holds_moments_and_no_weights(ground, tmp_path):
    run(ground, tmp_path)
    moments = load_file(tmp_path / "state" / "moments.safetensors")
    assert "blocks.0.mlp.up.weight.momentum" in moments
    assert "embed.weight" not in moments
    assert json.loads((tmp_path / "state" / "progress.json").read_text())["step"] == 12


def test_tuning_from_a_checkpoint_starts_with_its_weights_and_ends_with_others(ground, tmp_path):
    run(ground, tmp_path, **CHATS, length="0.0001 epochs", schedule={"use": "wsd", "warmup": 1, "decay": 0})
    before, after = (
        load_file(ground.root / "base/checkpoint/model.safetensors"),
        load_file(tmp_path / "checkpoint/model.safetensors"),
    )
    assert before.keys() == after.keys()
    moved = max(float((before[name] - after[name]).abs().max()) for name in before)
    assert 0 < moved < 0.2  # one step


def test_two_equal_fits_leave_equal_bytes_and_another_seed_other_ones(ground, tmp_path):
    run(ground, tmp_path / "one")
    run(ground, tmp_path / "two", save_every=0)
    job = ground.job(tmp_path / "three")
    fit().run(type(job)(**{**vars(job), "seed": job.seed.child("other")}))
    assert content(tmp_path / "one") == content(tmp_path / "two")
    assert content(tmp_path / "one") != content(tmp_path / "three")


def test_micro_rows_change_rounding_only(ground, tmp_path):
    losses = [run(ground, tmp_path / str(rows), micro_rows=rows, length="4 steps")[0]["loss"] for rows in (1, 3, 4)]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)


def test_the_callers_threads_and_generator_are_left_as_they_were(ground, tmp_path):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    run(ground, tmp_path, threads=2, length="1 step")
    assert torch.get_num_threads() == 1
    assert torch.equal(torch.get_rng_state(), before)


def test_events_tell_settings_curve_and_progress(ground, tmp_path):
    _, said = run(ground, tmp_path)
    settings = {event["name"]: event for event in said if event["kind"] == "setting"}
    assert settings["dtype"]["value"] == "fp32"
    assert settings["length"] | {"tokens": 12 * 4 * 32, "value": "12 steps"} == settings["length"]
    metrics = [event for event in said if event["kind"] == "metric" and "loss" in event]
    assert [event["step"] for event in metrics] == list(range(1, 13))
    assert {"grad_norm", "rate_muon", "rate_adam"} <= metrics[0].keys()
    last = [event for event in said if event["kind"] == "progress"][-1]
    assert (last["step"], last["total"], last["unit"]) == (12, 12, "step")


def test_without_held_out_text_it_says_so_and_trains(ground, tmp_path):
    bare = Ground(tmp_path / "bare")
    shutil.copytree(ground.root / "tokens", bare.root / "tokens")
    shutil.rmtree(bare.root / "tokens/held_out")
    shutil.copytree(bare.root / "tokens/exam", bare.root / "tokens/held_out")
    counts, said = run(bare, tmp_path / "draft", length="1 step")
    assert "held_out_bits_per_byte" not in counts
    assert any(event["kind"] == "warning" and "nothing to watch" in event["message"] for event in said)


def test_watching_nothing_when_told_to(ground, tmp_path):
    counts, said = run(ground, tmp_path, watch=None, length="1 step")
    assert "held_out_bits_per_byte" not in counts
    assert not [event for event in said if event["kind"] == "warning"]


# What it refuses before the first step


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": None}, "exactly one of model"),
        ({"start": "base"}, "exactly one of model"),
        ({"data": "ids.exam"}, "only the part 'train' is trained on; write data: ids"),
        ({**CHATS, "max_positions": 64}, "max_positions is a property of a fresh model"),
        ({"max_positions": 16}, "max_positions=16 is less than width=32"),
        ({"length": "2M"}, "want an amount with a unit"),
        ({"rows": 0}, "greater than or equal to 1"),
        ({"optimizer": {"use": "muom"}}, "did you mean 'muon'"),
    ],
)
def test_a_recipe_that_cannot_mean_anything_is_refused_when_read(changes, message):
    with pytest.raises(ValidationError, match=message):
        fit(**changes)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({**CHATS, "width": 48}, ConfigError, "width=48, but the model in start has 32 positions"),
        ({"objective": {"use": "sft"}}, ConfigError, "'sft' reads dialogues, but data is tokens"),
        ({**CHATS, "objective": {"use": "next_token"}}, ConfigError, "'next_token' reads tokens, but data is dialogues"),
        ({**CHATS, "start": None, "model": MODEL}, ConfigError, "brings no tokenizer"),
        ({**CHATS, "width": 8}, DataError, "do not fit a row of width=8"),
        ({"length": "3h"}, ConfigError, "length '10800s' is a time"),
    ],
)
def test_what_does_not_go_together_is_refused_before_the_first_step(changes, error, message, ground, tmp_path):
    said = []
    with pytest.raises(error, match=message):
        fit(**changes).run(ground.job(tmp_path, sinks=[said.append]))
    assert not [event for event in said if event["kind"] in ("metric", "progress")]


def test_tokens_of_another_tokenizer_are_refused_with_both_sizes(ground, tmp_path):
    shutil.copytree(ground.root / "base/checkpoint", tmp_path / "foreign")
    learn_tokenizer(["abababab cdcdcdcd"] * 3, size=267).save(tmp_path / "foreign")
    job = ground.job(tmp_path / "draft", inputs={"base": Artifact("checkpoint", "base", tmp_path / "foreign", {})})
    with pytest.raises(ConfigError, match=r"encoded with tokenizer \w+ \(300 ids\).* reads \w+ \(267 ids\)"):
        fit(model=None, start="base").run(job)


def test_a_vocabulary_larger_than_the_head_is_refused_with_both_sizes(ground, tmp_path):
    shutil.copytree(ground.root / "base/checkpoint", tmp_path / "small")
    config = json.loads((tmp_path / "small/config.json").read_text())
    (tmp_path / "small/config.json").write_text(json.dumps(config | {"vocab_size": 290}))
    job = ground.job(tmp_path / "draft", inputs={"base": Artifact("checkpoint", "base", tmp_path / "small", {})})
    with pytest.raises(ConfigError, match="tokenizer has 300 ids, but the model in start tells only 290 apart"):
        fit(**CHATS).run(job)


def test_a_checkpoint_without_a_tokenizer_is_refused(ground, tmp_path):
    shutil.copytree(ground.root / "base/checkpoint", tmp_path / "bare", ignore=shutil.ignore_patterns("tokenizer.json"))
    job = ground.job(tmp_path / "draft", inputs={"base": Artifact("checkpoint", "base", tmp_path / "bare", {})})
    with pytest.raises(ArtifactError, match=r"no tokenizer\.json"):
        fit(**CHATS).run(job)


def test_a_run_that_diverges_saves_nothing_of_it(ground, tmp_path):
    wild = {"use": "adamw", "rate": 1e38, "decay": 0}
    with pytest.raises(DataError, match=r"step \d+, documents .* nan; went back to step 0 3 times"):
        run(ground, tmp_path, optimizer=wild, save_every=0, schedule={"use": "wsd", "warmup": 0}, length="90 steps")
    assert not list((tmp_path / "checkpoint").glob("*.safetensors"))
    for path in (tmp_path / "checkpoint").rglob("weights.safetensors"):
        assert all(torch.isfinite(tensor).all() for tensor in load_file(path).values())


def test_without_a_guard_a_run_that_diverges_ends_there_and_saves_nothing_of_it(ground, tmp_path):
    wild = {"use": "adamw", "rate": 1e38, "decay": 0}
    with pytest.raises(DataError, match=r"step \d+, .*let a guard leave such steps out|is not finite"):
        run(ground, tmp_path, optimizer=wild, save_every=0, schedule={"use": "wsd", "warmup": 0}, guard=None)
    for path in (tmp_path / "checkpoint").rglob("weights.safetensors"):
        assert all(torch.isfinite(tensor).all() for tensor in load_file(path).values())


# Length, identity, stopping


def test_a_time_is_measured_once_and_becomes_the_tokens_that_fit(ground, tmp_path):
    stage = fit(length="30s")
    assert dict(stage.to_pin()) == {"length": "30s"}
    pins = stage.pin(ground.job(tmp_path))
    tokens = int(pins["length"].removesuffix(" tokens"))
    assert tokens % (4 * 32) == 0
    assert tokens > 4 * 32  # a toy step takes far less than 30 s
    assert str(stage.settled(pins).length) == pins["length"]
    assert not list((tmp_path / "checkpoint").iterdir())


def test_a_length_that_is_not_a_time_needs_no_pin_and_takes_none(ground, tmp_path):
    assert dict(fit().to_pin()) == dict(fit().pin(ground.job(tmp_path))) == {}
    assert str(fit().settled({"length": "5 tokens"}).length) == "12 steps"


def test_work_is_the_tokens_to_train(ground):
    inputs = {"ids": ground.artifact("tokens"), "chats": ground.artifact("dialogues")}
    assert fit(length="1000 tokens").work(inputs) == 8 * 128
    assert fit(length="7 steps").work(inputs) == 7 * 128
    assert fit(length="2 epochs").work(inputs) == 2 * sum(
        fit().objective.material(ground.root / "tokens", "train", ground.tokenizer).sequences.lengths()
    )
    assert fit(**CHATS, length="2 epochs").work(inputs) is None
    assert fit(length="3h").work(inputs) is None


def test_the_precision_is_settled_to_what_this_machine_has_and_hashed():
    settled = fit(dtype="auto").settled({})
    assert settled.dtype == pick_dtype("auto").name
    assert plain(settled, hashed_only=True)["dtype"] == settled.dtype


def test_what_does_not_change_the_result_is_not_hashed():
    one, two = fit(threads=1, save_every="5s"), fit(threads=None, save_every="1h")
    assert plain(one, hashed_only=True) == plain(two, hashed_only=True)


def test_a_stage_survives_being_spelled_and_read_again():
    stage = fit(length="1.5M tokens").settled({})
    assert Stage.model_validate(plain(stage)) == stage


def test_asked_to_stop_it_saves_says_how_to_go_on_and_goes_on(ground, tmp_path):
    run(ground, tmp_path / "whole")
    job = ground.job(tmp_path / "halved")
    job.events.sinks.append(lambda event: job.stop.flag.set() if event.get("loss") and event["step"] == 7 else None)
    with pytest.raises(Stopped, match="stopped at step 7 of 12, saved; run the recipe again"):
        fit().run(job)
    assert sorted(path.name for path in job.scratch.iterdir()) == ["good-00000000", "step-00000007"]
    _, said = run(ground, tmp_path / "halved")
    assert min(event["step"] for event in said if event["kind"] == "metric") == 8
    assert content(tmp_path / "halved") == content(tmp_path / "whole")
