"""Beam search over the engine's blocks: the answers of whole passes, blocks shared, and every one given back."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from whorl.core.errors import DataError, ResourceError, UsageError
from whorl.core.seed import Seed
from whorl.infer.beam import Beam, beam_search, search
from whorl.infer.engine import Engine, Request, Sampling, Setup
from whorl.model.families import Family
from whorl.model.transformer import Transformer

GOLDEN = Path(__file__).parents[1] / "golden" / "infer" / "beam.json"  # written by test_beam
PROMPTS = ([5, 9, 60, 7], [0, 12, 33, 8, 8, 41, 3, 59, 20], [11])
GREEDY = Sampling(max_tokens=12)


def by_full_passes(model, prompt):
    """Log-probabilities from the whole sequence, every time."""

    def ahead(sequences):
        with torch.no_grad():
            return model.head(model(torch.tensor([[*prompt, *one] for one in sequences])))[:, -1].log_softmax(-1)

    return ahead


def engine_of(model, **setup):
    return Engine(model, stop_ids={1, 4, 5, 6, 7, 8}, pad_id=2, setup=Setup(**{"rows": 4, "block_size": 4, **setup}))


def assert_same(found, wanted):
    assert [one.ids for one in found] == [one.ids for one in wanted]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=1e-5)
        assert one.score == pytest.approx(other.score, abs=1e-5)
        assert one.finish == other.finish


@pytest.mark.parametrize("case", json.loads(GOLDEN.read_text())["cases"], ids=lambda case: str(case["case"]["width"]))
def test_answers_equal_what_transformers_was_recorded_to_give(model, case):
    stated = dict(case["case"])
    engine = Engine(model, stop_ids=stated.pop("stop_ids"), pad_id=2, setup=Setup(rows=4, block_size=4))
    for prompt, wanted in zip(PROMPTS, case["answers"], strict=True):
        found = beam_search(engine, prompt, Beam(**stated))
        assert [list(one.ids) for one in found] == wanted["ids"]
        np.testing.assert_allclose([one.score for one in found], wanted["scores"], atol=1e-4)


@pytest.mark.parametrize("block_size", [1, 3, 32])
@pytest.mark.parametrize("width", [1, 3, 8])
@pytest.mark.parametrize("stops_when", ["full", "unlikely", "impossible"])
def test_answers_equal_those_of_whole_passes_and_every_block_comes_back(model, block_size, width, stops_when):
    engine = engine_of(model, block_size=block_size, step_tokens=4, cache_tokens=400)
    beam = Beam(width, 10, n=min(width, 3), length_penalty=0.7, stops_when=stops_when)
    for prompt in PROMPTS:
        wanted = search(by_full_passes(model, prompt), beam, stop_ids=engine.stop_ids)
        assert_same(beam_search(engine, prompt, beam), wanted)
        assert_same(beam_search(engine, prompt, beam), wanted)  # its prompt is known now
    engine.check()
    assert engine.pool.num_held == 0


@pytest.mark.parametrize("length_penalty", [-0.5, 0.0, 1.0])
def test_a_search_wide_enough_finds_the_best_of_all_sequences(length_penalty):
    dials = {"use": "llama", "depth": 2, "width": 16, "heads": 2, "kv_heads": 1, "tied": False}
    model, rng = Transformer(Family.model_validate(dials).configure(5, 16)), np.random.default_rng(0)
    for parameter in model.parameters():
        parameter.data.copy_(torch.from_numpy(rng.normal(float(parameter.ndim == 1), 0.3, parameter.shape)))
    engine = Engine(model, stop_ids={0, 1}, pad_id=2, setup=Setup(block_size=2, cache_tokens=4000))
    ahead, scores = by_full_passes(model, [3, 2, 4]), {}
    for length in (1, 2, 3):
        for ids in itertools.product(range(5), repeat=length):
            if not {0, 1} & set(ids[:-1]) and (ids[-1] in {0, 1} or length == 3):
                total = sum(float(ahead([ids[:place]])[0, token]) for place, token in enumerate(ids))
                scores[ids] = total / length**length_penalty
    beam = Beam(125, 3, n=20, length_penalty=length_penalty, stops_when="impossible")
    found = beam_search(engine, [3, 2, 4], beam)
    assert [one.ids for one in found] == sorted(scores, key=lambda ids: -scores[ids])[:20]
    assert [one.score for one in found] == pytest.approx(sorted(scores.values(), reverse=True)[:20], abs=1e-5)


def test_beams_hold_what_they_share_once(model):
    engine, most = engine_of(model, block_size=4), 0
    taken = engine.pool.take

    def counting():
        nonlocal most
        most = max(most, engine.pool.num_held + 1)
        return taken()

    engine.pool.take = counting
    prompt = list(range(9, 41))  # 8 blocks
    beam_search(engine, prompt, Beam(4, 12, stops_when="impossible"))
    assert 8 < most <= 8 + 4 * 4  # not 4 * 11


def test_the_prompt_is_found_by_requests_and_theirs_by_a_search(model):
    engine, prompt = engine_of(model), list(range(9, 31))
    beam_search(engine, prompt, Beam(2, 4))
    assert engine.generate([prompt], GREEDY)[0].num_cached == 20
    engine, read = engine_of(model), []
    engine.generate([prompt], GREEDY)
    step = engine.forward.step
    engine.forward.step = lambda pieces, **how: read.append(sum(len(piece.ids) for piece in pieces)) or step(pieces, **how)
    beam_search(engine, prompt, Beam(2, 4))
    assert read[0] == 2


def test_a_search_between_two_steps_disturbs_no_request(model, prompts):
    wanted = engine_of(model).generate(prompts, GREEDY)
    engine = engine_of(model)
    numbers = [engine.submit(Request(prompt, GREEDY)) for prompt in prompts]
    while not engine.is_idle:
        engine.step()
        beam_search(engine, PROMPTS[1], Beam(2, 3))
        engine.check()
    assert [engine.take(number).ids for number in numbers] == [one.ids for one in wanted]


def test_a_pool_too_small_for_the_beams_is_an_error_that_gives_all_back(model):
    engine = engine_of(model, cache_tokens=24)
    with pytest.raises(ResourceError, match="all 6 blocks of 4 tokens are held; want fewer beams"):
        beam_search(engine, [9] * 8, Beam(8, 12, stops_when="impossible"))
    engine.check()
    assert engine.pool.num_held == 0
    assert len(engine.generate([[9] * 8], GREEDY)[0].ids) > 0


def test_logits_that_are_not_finite_are_an_error_that_gives_all_back_and_leaves_nothing_to_be_found(model):
    model.embed.weight.data[60] = float("nan")
    engine = engine_of(model)
    with pytest.raises(DataError, match="not finite after 0 tokens"):
        beam_search(engine, [9, 10, 11, 60, 12], Beam(2, 4))
    engine.check()
    assert (engine.pool.num_held, engine.pool.num_named) == (0, 0)


def test_a_fault_in_the_middle_of_a_search_gives_all_back(model):
    engine, calls = engine_of(model), itertools.count()
    step = engine.forward.step

    def failing(pieces, **how):
        if next(calls) == 3:
            raise MemoryError("no room")
        return step(pieces, **how)

    engine.forward.step = failing
    with pytest.raises(MemoryError):
        beam_search(engine, [9] * 6, Beam(3, 8, stops_when="impossible"))
    engine.check()
    assert engine.pool.num_held == 0


def test_what_the_engine_would_refuse_is_refused(model):
    engine = engine_of(model)
    with pytest.raises(DataError, match="the prompt is empty"):
        beam_search(engine, [], Beam(2, 4))
    with pytest.raises(DataError, match="the model's context is 48"):
        beam_search(engine, [9] * 40, Beam(2, 9))
    config = Family.model_validate({"use": "modernbert", "depth": 1, "width": 32, "heads": 2}).configure(61, 32)
    blind = Engine(Transformer.fresh(config, Seed(0)), stop_ids={1}, pad_id=2)
    with pytest.raises(UsageError, match="looks both ways"):
        beam_search(blind, [9], Beam(2, 4))
