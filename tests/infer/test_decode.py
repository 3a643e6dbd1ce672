"""Replayed passes say what passes as written say, to the bit, and are left where they cannot be."""

import numpy as np
import pytest
import torch
from toy_models import filled_model, tiny_config

from whorl.infer.draft import PromptLookup
from whorl.infer.engine import Engine, Sampling, Setup
from whorl.infer.pays import StepCosts
from whorl.model.team import can_run

REPLAYED, WRITTEN = ("llama", "mistral", "qwen2", "qwen3", "olmo2"), ("gpt2", "mixtral")
HOT = Sampling(max_tokens=12, temperature=1.0, seed=3)
FREE = StepCosts(sizes=(1, 17), ratios=(1.0, 1.0))
pytestmark = pytest.mark.skipif(not can_run(torch.zeros(1, dtype=torch.bfloat16)), reason="torch runs on other threads here")


@pytest.fixture(scope="module")
def prompts():
    rng = np.random.default_rng(3)
    return [rng.integers(9, 61, length).tolist() for length in (1, 17, 9, 30, 12)]


def built(family, rows=4, reuses=True, **given):
    model = filled_model(tiny_config(family).model_copy(update={"max_positions": 64}))
    model.compute_dtype = torch.bfloat16
    return model, Engine(model, stop_ids={7}, pad_id=0, setup=Setup(rows=rows, block_size=8, reuses=reuses), **given)


def as_written(engine):
    engine.forward._decoder = None
    return engine


@pytest.mark.parametrize("family", REPLAYED)
def test_replayed_passes_say_the_same_to_the_bit(family, prompts):
    replaying, written = built(family)[1], as_written(built(family)[1])
    for _ in range(2):  # the second time beginnings are found, and what is left of a prompt is rounded in another order
        assert replaying.generate(prompts, HOT) == written.generate(prompts, HOT)
    assert replaying.forward._decoder._passes


def test_guesses_that_are_checked_by_replaying_change_nothing(prompts):
    guessing, written = built("llama", rows=1, open_drafter=PromptLookup, costs=FREE)[1], as_written(built("llama", rows=1)[1])
    greedy = Sampling(max_tokens=24)
    found = guessing.generate(prompts, greedy)
    assert found == written.generate(prompts, greedy)
    assert sum(one.num_accepted for one in found) > 0


@pytest.mark.parametrize("family", WRITTEN)
def test_what_cannot_be_replayed_runs_as_written(family, prompts):
    _, engine = built(family)
    assert engine.generate(prompts, HOT) == as_written(built(family)[1]).generate(prompts, HOT)
    assert not engine.forward._decoder._passes


def test_new_weights_and_another_number_of_threads_are_recorded_anew(prompts):
    model, engine = built("llama", reuses=False)
    before = engine.generate(prompts, HOT)
    model.blocks[0].mlp.up.weight.data.mul_(-1)
    engine.refresh(model)
    found = engine.generate(prompts, HOT)
    assert found != before
    torch.set_num_threads(2)
    try:
        assert engine.generate(prompts, HOT) == found
    finally:
        torch.set_num_threads(1)
    assert {one.replay.num_threads for one in engine.forward._decoder._passes.values()} >= {2}
