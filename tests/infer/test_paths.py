"""Whatever way an engine takes to an answer, it is the answer: batched, found in the cache, in pieces, preempted, guessed."""

import numpy as np
import pytest
import torch
from toy_models import CAUSAL, filled_model, tiny_config

from whorl.infer.draft import PromptLookup
from whorl.infer.engine import Engine, Request, Sampling, Setup
from whorl.infer.pays import StepCosts

POSITIONS, TOKENS = 64, 12
GREEDY, HOT = Sampling(max_tokens=TOKENS), Sampling(max_tokens=TOKENS, temperature=1.0, seed=3)
FREE = StepCosts(sizes=(1, 17), ratios=(1.0, 1.0))  # guessing always pays
WAYS = {
    "one at a time": Setup(rows=1, cache_tokens=1024, block_size=8),
    "small blocks": Setup(block_size=4),
    "in pieces": Setup(step_tokens=5, rows=3),
    "preempted": Setup(rows=6, block_size=4, cache_tokens=64),
    "nothing found again": Setup(reuses=False),
    "guessed": Setup(block_size=8),
}


@pytest.fixture(scope="module", params=CAUSAL)
def model(request):
    return filled_model(tiny_config(request.param).model_copy(update={"max_positions": POSITIONS}))


@pytest.fixture(scope="module")
def prompts():
    rng = np.random.default_rng(3)
    beginning = rng.integers(9, 61, 20).tolist()  # of several prompts, and repetitive for those who guess
    own = [rng.integers(9, 61, length).tolist() for length in (1, 17, 9)]
    return [*own, [*beginning, *own[2]], [*beginning, *beginning], beginning]


def answers(model, prompts, setup, sampling, *, guesses=False):
    rest = {"open_drafter": PromptLookup, "costs": FREE} if guesses else {}
    engine = Engine(model, stop_ids={7}, pad_id=0, setup=setup, **rest)
    first = engine.generate(prompts, sampling)
    again = engine.generate(prompts, sampling)
    engine.check()
    assert engine.pool.num_held == 0
    return first, again


@pytest.mark.parametrize("sampling", [GREEDY, HOT], ids=["greedy", "hot"])
def test_every_way_leads_to_the_same_answer(model, prompts, sampling):
    wanted, _ = answers(model, prompts, Setup(), sampling)
    for way, setup in WAYS.items():
        first, again = answers(model, prompts, setup, sampling, guesses=way == "guessed")
        for found in (first, again):
            assert [one.ids for one in found] == [one.ids for one in wanted], way
            for ours, theirs in zip(found, wanted, strict=True):
                # Products and attention keep tokens apart; torch's elementwise functions round the last few numbers of a tensor
                # otherwise than the rest, and the toys' widths are odd.
                np.testing.assert_allclose(ours.logprobs, theirs.logprobs, atol=2e-6)
        if way == "guessed" and sampling is GREEDY:
            assert sum(one.num_accepted for one in (*first, *again)) > 0
        if setup.reuses and way != "preempted":  # whose cache is too small to keep anything
            assert max(one.num_cached for one in again) >= 16, way


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral", "qwen3_moe"])
def test_in_float32_every_way_gives_the_same_bits_at_widths_of_whole_registers(family, prompts):
    dials = {"experts": 4, "experts_per_token": 2} if "m" in family.removeprefix("llama") else {}
    config = tiny_config(family, width=64, heads=2, mlp_width=64, **dials).model_copy(update={"max_positions": POSITIONS})
    model = filled_model(config)
    wanted, _ = answers(model, prompts, Setup(), HOT)
    for way, setup in WAYS.items():
        for found in answers(model, prompts, setup, HOT, guesses=way == "guessed"):
            assert [one.logprobs for one in found] == [one.logprobs for one in wanted], way


def test_where_shapes_are_fixed_every_way_gives_the_same_bits(model, prompts):
    wanted, _ = answers(model, prompts, Setup(deterministic=True), HOT)
    for way in ("one at a time", "preempted", "guessed"):
        fixed = WAYS[way].model_copy(update={"deterministic": True})
        found = answers(model, prompts, fixed, HOT, guesses=way == "guessed")
        assert [one.logprobs for one in found[0]] == [one.logprobs for one in wanted], way
        assert found[0] == found[1] == wanted, way


def test_an_answer_equals_that_of_whole_passes(model, prompts):
    found, _ = answers(model, prompts, Setup(), GREEDY)
    for prompt, one in zip(prompts, found, strict=True):
        ids = torch.tensor([[*prompt, *one.ids]])
        with torch.no_grad():
            logits = model.logits(model(ids))[0, len(prompt) - 1 : -1]
        assert logits.argmax(-1).tolist() == list(one.ids)
        exact = logits.log_softmax(-1).gather(1, ids[0, len(prompt) :, None]).squeeze(1)
        np.testing.assert_allclose(one.logprobs, exact, atol=2e-5)


def test_scores_of_a_prompt_are_those_of_the_whole_text_though_its_beginning_is_known(model, prompts):
    engine = Engine(model, stop_ids={7}, pad_id=0, setup=Setup(block_size=4, step_tokens=7, rows=2))
    for prompt in prompts[-3:]:
        for first in (1, len(prompt) // 2, len(prompt) - 1):
            (found,) = engine.finish([engine.submit(Request(prompt, Sampling(max_tokens=0), scores_from=first))])
            np.testing.assert_allclose(found.prompt_logprobs, engine.score([prompt])[0][first - 1 :], atol=1e-5)
            assert (found.ids, found.finish) == ((), "length")
    assert found.num_cached > 0
