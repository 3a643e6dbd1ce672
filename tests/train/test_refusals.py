"""What a fit refuses before its first step: nothing was computed, and the message says what disagrees and what to try.

More of them, about two artifacts that do not go together: stages/test_fit.
"""

import math
import shutil

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from toy_training import BERT, CHATS, GAPS, MODEL, Ground, fit

from whorl.core.canonical import plain
from whorl.core.errors import ArtifactError, ConfigError, DataError, ResourceError
from whorl.core.stage import Stage
from whorl.tokens.learn import learn_tokenizer
from whorl.tokens.sequences import Sequences
from whorl.tokens.shards import ShardWriter
from whorl.train.objectives import Material
from whorl.train.refusals import check_learnable


def refused(ground, draft, error, message, **changes):
    """That a fit is refused with this message before it computed anything."""
    said = []
    with pytest.raises(error, match=message):
        fit(**changes).run(ground.job(draft, sinks=[said.append]))
    assert not [event for event in said if event["kind"] in ("metric", "progress")]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({**CHATS, "width": 48}, ConfigError, "width=48, but the model in start has 32 positions"),
        ({**GAPS, "model": MODEL}, ConfigError, "'masked' fills gaps from both sides, but the model is causal"),
        ({"model": BERT}, ConfigError, "'next_token' predicts the token after each place, which this model can see"),
        (
            {"objective": {"use": "masked"}, "model": BERT},
            ConfigError,
            "no token that stands for a hidden one; learn it with mask",
        ),
        ({"fp8": True}, ResourceError, "fp8: the model is on 'cpu', want a CUDA GPU"),
        ({"attention": "flex"}, ResourceError, "flex"),
        ({"attention": "varlen"}, ResourceError, "varlen"),
    ],
)
def test_what_model_objective_and_device_cannot_do_together_is_refused(changes, error, message, ground, tmp_path):
    refused(ground, tmp_path, error, message, **changes)


def test_shards_whose_tokenizer_was_exchanged_are_refused(ground, tmp_path):
    bare = Ground(tmp_path / "bare")
    shutil.copytree(ground.root / "tokens", bare.root / "tokens")
    learn_tokenizer(["abababab cdcdcdcd"] * 3, size=267).save(bare.root / "tokens/tokenizer")
    refused(bare, tmp_path / "draft", ArtifactError, "was encoded with")


def test_documents_in_which_nothing_is_predicted_are_refused(ground, tmp_path):
    """Shards of documents cut down to their first token."""
    bare = Ground(tmp_path / "bare")
    shutil.copytree(ground.root / "tokens", bare.root / "tokens")
    with ShardWriter(bare.root / "tokens/train", ground.tokenizer) as writer:
        writer.add(["a", "b"], ["", ""])
    found = Stage.model_validate(plain(fit())).objective.material(bare.root / "tokens", "train", ground.tokenizer)
    check_learnable([found], ["ids"])  # `<|end|>` is predicted after `<|bos|>`, even of an empty text
    first_tokens = sequences([1, 1, 1], [])
    with pytest.raises(DataError, match="ids: no token of its 3 sequences carries loss"):
        check_learnable([Material(first_tokens, lambda index: 0, "split")], ["ids"])


def test_weights_that_are_all_zero_where_it_counts_are_refused():
    def material(weights):
        return Material(sequences([3, 2], weights), lambda index: 0, "split")

    check_learnable([material([0, 0, 0, 0, 1])], ["chats"])
    for weights in ([0] * 5, [1, 0, 0, 1, 0]):  # the first token of a sequence is never predicted
        with pytest.raises(DataError, match="chats: no token of its 2 sequences carries loss"):
            check_learnable([material(weights)], ["chats"])


def sequences(lengths, weights):
    lengths = np.array(lengths, np.int64)
    names = pa.array([str(number) for number in range(len(lengths))], pa.large_string())
    flat = np.zeros(lengths.sum(), np.int32)
    return Sequences(flat, np.cumsum(lengths) - lengths, lengths, names=names, flat_weights=np.array(weights, np.float32))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ramp": {"start_rows": 4}}, "start_rows=4, want fewer than rows=4"),
        ({"ramp": {"start_rows": 1, "over": 1.5}}, "less than or equal to 1"),
        ({"patience": 3, "watch": None}, "patience counts looks at held-out text, but watch is null"),
        ({"samples": {"prompts": ["a"]}, "watch": None}, "samples counts looks"),
        ({"dropout": 1.0}, "less than 1"),
        ({"guard": {"sigma": 3}}, "did you mean 'sigmas'"),
        ({"average": {"decay": 0.9, "half_life": "2M tokens"}}, "exactly one of decay"),
        ({"dtype": "fp8"}, "'fp16'"),
        ({"attention": "flash"}, "'sdpa'"),
        ({"recompute": "some"}, "'selective'"),
    ],
)
def test_options_that_cannot_mean_anything_are_refused_when_read(changes, message):
    with pytest.raises(ValidationError, match=message):
        fit(**changes)


def test_how_it_is_computed_is_not_hashed_and_what_is_computed_is():
    plainly = plain(fit(), hashed_only=True)
    how = {"attention": "matmul", "recompute": "full", "compile": False, "samples": {"prompts": ["a"]}, "watts": 30.0}
    assert plain(fit(**how), hashed_only=True) == plainly
    what = {
        "dropout": 0.1,
        "guard": None,
        "patience": 3,
        "average": {"decay": 0.9},
        "ramp": {"start_rows": 2},
        "fp8": True,
    }
    for field, value in what.items():
        assert plain(fit(**{field: value}), hashed_only=True) != plainly, field


# What is not refused


def test_float16_trains_with_its_scale_and_says_how_slow_it_is(ground, tmp_path):
    said = []
    counts = fit(dtype="fp16", length="3 steps", rows=2, watch=None).run(ground.job(tmp_path, sinks=[said.append]))
    assert math.isfinite(counts["loss"])
    assert any("CPUs multiply float16 hundreds of times slower" in event.get("message", "") for event in said)
    assert (tmp_path / "state/scale.safetensors").is_file()


@pytest.mark.parametrize("mode", ["selective", "full"])
def test_recomputing_changes_no_byte_of_what_comes_out(mode, ground, tmp_path):
    for name, changes in [("none", {}), ("again", {"recompute": mode})]:
        fit(length="4 steps", watch=None, dropout=0.1, **changes).run(ground.job(tmp_path / name))
    path = "checkpoint/model.safetensors"
    assert (tmp_path / "none" / path).read_bytes() == (tmp_path / "again" / path).read_bytes()
