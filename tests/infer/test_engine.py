import numpy as np
import pytest
import torch

from whorl.core.errors import DataError, UsageError
from whorl.core.seed import Seed
from whorl.infer.engine import Engine, Sampling, Setup
from whorl.model.families import Family
from whorl.model.transformer import Transformer

GREEDY = Sampling(max_tokens=16)
HOT = Sampling(max_tokens=16, temperature=1.0, seed=5)


def by_full_passes(model, prompt, stop_ids, max_tokens):
    """Greedy decoding without a cache, a batch or a pad."""
    ids = list(prompt)
    for _ in range(max_tokens):
        with torch.no_grad():
            ids.append(int(model.head(model(torch.tensor([ids])))[0, -1].argmax()))
        if ids[-1] in stop_ids:
            break
    return ids[len(prompt) :]


def test_greedy_answers_equal_full_passes_of_the_model(engine, model, prompts):
    wanted = [by_full_passes(model, prompt, engine.stop_ids, 16) for prompt in prompts]
    found = engine.generate(prompts, GREEDY)
    assert [list(one.ids) for one in found] == wanted
    assert {one.finish for one in found} == {"stop", "length"}  # the test reaches both ways to end


def test_finish_says_how_an_answer_ended(engine, prompts):
    for one in engine.generate(prompts, GREEDY):
        assert (one.ids[-1] in engine.stop_ids) == (one.finish == "stop")
        assert not engine.stop_ids & set(one.ids[:-1])
        assert one.finish == "stop" or len(one.ids) == 16


@pytest.mark.parametrize("sampling", [GREEDY, HOT])
@pytest.mark.parametrize("rows", [1, 3, 8])
def test_answers_do_not_depend_on_the_batch(engine, model, prompts, sampling, rows):
    wanted = engine.generate(prompts, sampling)
    found = Engine(model, stop_ids=engine.stop_ids, pad_id=2, setup=Setup(rows=rows)).generate(prompts, sampling)
    assert [one.ids for one in found] == [one.ids for one in wanted]
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a.logprobs, b.logprobs, atol=1e-5)


def test_own_seeds_fix_draws_whatever_else_is_asked(engine, prompts):
    seeds = list(range(100, 100 + len(prompts)))
    together = engine.generate(prompts, HOT, seeds=seeds)
    turned = engine.generate(prompts[::-1], HOT, seeds=seeds[::-1])[::-1]
    assert [one.ids for one in together] == [one.ids for one in turned]
    alone = engine.generate([prompts[4]], HOT, seeds=[104])
    assert alone[0].ids == together[4].ids


def test_equal_prompts_with_other_seeds_get_other_answers_and_equal_seeds_equal_ones(engine):
    found = engine.generate([[9, 10]] * 3, HOT, seeds=[1, 2, 1])
    assert found[0].ids == found[2].ids != found[1].ids
    assert engine.generate([[9, 10]] * 3, HOT) == engine.generate([[9, 10]] * 3, HOT)


@pytest.mark.parametrize("sampling", [GREEDY, HOT])
def test_logprobs_of_an_answer_equal_its_score(engine, prompts, sampling):
    found = engine.generate(prompts, sampling)
    scores = engine.score([[*prompt, *one.ids] for prompt, one in zip(prompts, found, strict=True)])
    for prompt, one, score in zip(prompts, found, scores, strict=True):
        np.testing.assert_allclose(one.logprobs, score[len(prompt) - 1 :], atol=1e-5)


def test_scores_equal_log_softmax_of_each_sequence_alone(engine, model, prompts):
    for sequence, score in zip(prompts, engine.score(prompts), strict=True):
        with torch.no_grad():
            logp = model.head(model(torch.tensor([sequence]))).log_softmax(-1)[0]
        wanted = logp[:-1].gather(1, torch.tensor(sequence[1:])[:, None]).squeeze(1)
        assert score.dtype == np.float32
        np.testing.assert_allclose(score, wanted.numpy(), atol=1e-5)


def test_scoring_nothing_gives_nothing(engine):
    assert engine.score([]) == []
    assert engine.generate([], GREEDY) == []
    assert engine.score([[5]])[0].shape == (0,)


@pytest.mark.parametrize("rows", [8, 1])
def test_a_request_whose_logits_are_not_finite_ends_with_an_error_and_the_others_do_not(engine, model, prompts, rows):
    clean = engine.generate(prompts, GREEDY)
    poison = next(
        token for token in range(9, 61) if not any(token in (*p, *o.ids) for p, o in zip(prompts, clean, strict=True))
    )
    model.embed.weight.data[poison] = float("nan")
    found = Engine(model, stop_ids=engine.stop_ids, pad_id=2, setup=Setup(rows=rows)).generate(
        [*prompts, [9, poison, 10]], GREEDY
    )
    assert [one.ids for one in found[:-1]] == [one.ids for one in clean]
    assert (found[-1].finish, found[-1].ids) == ("error", ())
    assert "not finite after 0 tokens" in found[-1].error


def test_new_weights_are_new_answers_and_nothing_old_is_read_again(engine, model, prompts):
    before = engine.generate(prompts, GREEDY)
    model.blocks[0].attn.k.weight.data = model.blocks[0].attn.k.weight.data.flip(0)
    engine.refresh(model)
    found = engine.generate(prompts, GREEDY)
    assert found != before
    assert found == Engine(model, stop_ids=engine.stop_ids, pad_id=2).generate(prompts, GREEDY)
    assert (engine.version, max(one.num_cached for one in found)) == (1, 0)


@pytest.mark.parametrize(
    ("prompt", "named"),
    [
        ([], "prompt 1 is empty"),
        ([9] * 33, "33 tokens and max_tokens=16; the model's context is 48"),
        ([61], "id 61"),
        ([-1], "id -1"),
    ],
)
def test_a_prompt_that_cannot_be_answered_is_refused_by_number(engine, prompt, named):
    with pytest.raises(DataError, match=named):
        engine.generate([[9], prompt], GREEDY)


def test_the_context_may_be_filled_to_the_last_position(model):
    assert len(Engine(model, stop_ids=(), pad_id=2).generate([[9] * 32], GREEDY)[0].ids) == 16


def test_a_sequence_longer_than_the_context_is_refused(engine):
    with pytest.raises(DataError, match="sequence 0 has 49 tokens; the model's context is 48"):
        engine.score([[9] * 49])


def test_bf16_answers_are_probable_under_float32(engine, model, prompts):
    model.compute_dtype = torch.bfloat16
    found = engine.generate(prompts, GREEDY)
    model.compute_dtype = torch.float32
    scores = engine.score([[*prompt, *one.ids] for prompt, one in zip(prompts, found, strict=True)])
    for prompt, one, score in zip(prompts, found, scores, strict=True):
        np.testing.assert_allclose(one.logprobs, score[len(prompt) - 1 :], atol=0.2)


def test_a_model_that_looks_both_ways_neither_writes_nor_scores():
    config = Family.model_validate({"use": "modernbert", "depth": 1, "width": 32, "heads": 2}).configure(61, 32)
    engine = Engine(Transformer.fresh(config, Seed(0)), stop_ids={1}, pad_id=2)
    with pytest.raises(UsageError, match=r"cannot write text token by token: it looks both ways \(causal=False\)"):
        engine.generate([[0, 5]], GREEDY)
    with pytest.raises(UsageError, match="cannot score text token by token"):
        engine.score([[0, 5]])


def test_penalties_and_biases_reach_every_request_and_its_own_past_only(engine, prompts):
    first = {answer.ids[0] for answer in engine.generate(prompts, GREEDY)}
    barred = engine.generate(prompts, Sampling(max_tokens=16, logit_bias=dict.fromkeys(first, float("-inf"))))
    assert not first & {token for answer in barred for token in answer.ids}
    once = Sampling(max_tokens=16, presence_penalty=1e4)
    together = engine.generate(prompts, once)
    assert all(len(set(answer.ids)) == len(answer.ids) for answer in together)
    assert any(len(set(answer.ids)) < len(answer.ids) for answer in engine.generate(prompts, GREEDY))
    assert [answer.ids for answer in together] == [engine.generate([one], once)[0].ids for one in prompts]


def test_a_bias_on_an_id_the_model_does_not_have_is_refused(engine):
    with pytest.raises(UsageError, match="logit_bias names id 999"):
        engine.generate([[1]], Sampling(max_tokens=1, logit_bias={999: 1.0}))
