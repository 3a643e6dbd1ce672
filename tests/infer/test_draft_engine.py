"""Speculation changes nothing but time: ids with every drafter, good, useless or hostile, equal those with none."""

import numpy as np
import pytest

from whorl.infer.draft import PromptLookup
from whorl.infer.draft_model import DraftModel
from whorl.infer.engine import Engine, Request, Sampling, Setup
from whorl.infer.pays import StepCosts

FREE = StepCosts((1, 17), (1.0, 1.0))  # guesses cost nothing: made whenever they can be
DEAR = StepCosts((1, 17), (1.0, 17.0))
GREEDY = Sampling(max_tokens=24)
SAMPLINGS = {
    "greedy": GREEDY,
    "hot": Sampling(max_tokens=24, temperature=1.0, seed=5),
    "cut": Sampling(max_tokens=24, temperature=0.7, top_k=5, top_p=0.9, min_p=0.01, seed=6),
    "penalised": Sampling(max_tokens=24, temperature=0.8, repetition_penalty=1.3, frequency_penalty=0.2, seed=7, logprobs=2),
    "biased": Sampling(max_tokens=24, presence_penalty=0.5, logit_bias={9: 2.0, 10: float("-inf")}),
}
SETUPS = {
    "roomy": Setup(rows=12),
    "alone": Setup(rows=1),
    "chunked": Setup(rows=4, step_tokens=5, block_size=4),
    "short of blocks": Setup(rows=6, block_size=4, cache_tokens=72),
    "forgetful": Setup(rows=6, reuses=False, block_size=4),
}


class Scripted:
    """Proposes what it is told to, whatever the request."""

    def __init__(self, script):
        self.script, self.heard, self.num_closed = script, [], 0

    def propose(self, tokens, limit):
        return self.script(tokens, limit)

    def told(self, num_drafted, num_accepted):
        self.heard.append((num_drafted, num_accepted))

    def close(self):
        self.num_closed += 1


def erratic(tokens, limit):
    """Any ids, in any number, sometimes none."""
    rng = np.random.default_rng(tokens)
    return rng.integers(0, 61, rng.integers(0, limit + 1)).tolist()


SCRIPTS = {
    "empty": lambda tokens, limit: [],
    "one id": lambda tokens, limit: [60] * limit,
    "the last id": lambda tokens, limit: [tokens[-1]] * limit,
    "a stop id": lambda tokens, limit: [1] * limit,
    "erratic": erratic,
}


@pytest.fixture
def built(model):
    """An engine over the model, by setup, drafter and costs."""

    def build(setup="roomy", open_drafter=None, costs=FREE, **rest):
        how = SETUPS[setup] if isinstance(setup, str) else setup
        return Engine(model, stop_ids={1, 4, 5}, pad_id=2, setup=how, open_drafter=open_drafter, costs=costs, **rest)

    return build


@pytest.fixture
def smaller(model):
    """Another model of the same ids: the same embeddings and first block, so that it is sometimes right."""
    config = model.config.model_copy(update={"depth": 1, "windows": model.config.windows[:1]})
    small = type(model)(config)
    own = dict(model.named_parameters())
    for name, parameter in small.named_parameters():
        parameter.data.copy_(own[name].data)
    return small


def assert_same(found, wanted, *, atol=1e-5):
    assert [one.ids for one in found] == [one.ids for one in wanted]
    assert [one.finish for one in found] == [one.finish for one in wanted]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=atol, rtol=0)
        assert [[token for token, _ in top] for top in one.top] == [[token for token, _ in top] for top in other.top]


@pytest.mark.parametrize("sampling", ["greedy", "cut", "penalised", "biased"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_no_drafter_changes_an_answer(built, prompts, sampling, script):
    wanted = built().generate(prompts, SAMPLINGS[sampling])
    engine = built(open_drafter=lambda: Scripted(SCRIPTS[script]))
    assert_same(engine.generate(prompts, SAMPLINGS[sampling]), wanted)
    engine.check()
    assert engine.pool.num_held == 0


@pytest.mark.parametrize("sampling", ["greedy", "hot", "penalised"])
@pytest.mark.parametrize("setup", SETUPS)
def test_prompt_lookup_changes_no_answer_in_any_setup(built, prompts, sampling, setup):
    wanted = built().generate(prompts, SAMPLINGS[sampling])
    engine = built(setup, PromptLookup)
    found = engine.generate(prompts, SAMPLINGS[sampling])
    assert_same(found, wanted)
    assert sum(one.num_drafted for one in found) > 0
    engine.check()


@pytest.mark.parametrize("sampling", ["greedy", "penalised"])
@pytest.mark.parametrize("setup", ["roomy", "short of blocks"])
def test_a_draft_model_changes_no_answer_in_any_setup(built, smaller, prompts, sampling, setup):
    wanted = built().generate(prompts, SAMPLINGS[sampling])
    drafts = DraftModel(smaller, vocab_size=61)
    engine = built(setup, drafts.open)
    found = engine.generate(prompts, SAMPLINGS[sampling])
    assert_same(found, wanted)
    assert sum(one.num_drafted for one in found) > 0
    drafts.check()
    assert drafts.pool.num_held == 0


@pytest.mark.parametrize("sampling", ["greedy", "hot"])
def test_in_deterministic_mode_not_a_bit_changes(built, prompts, sampling):
    fixed = Setup(rows=4, deterministic=True)
    wanted = built(fixed).generate(prompts, SAMPLINGS[sampling])
    assert_same(built(fixed, PromptLookup).generate(prompts, SAMPLINGS[sampling]), wanted, atol=0)


def test_a_drafter_that_is_always_right_saves_steps_and_one_that_is_always_wrong_none(built, model, prompts):
    plain = built("alone")
    wanted = plain.generate(prompts, GREEDY)
    right = built("alone", DraftModel(model, vocab_size=61).open)
    found = right.generate(prompts, GREEDY)
    assert_same(found, wanted)
    assert right.num_steps < plain.num_steps / 3
    for one in found:
        assert one.num_accepted == one.num_drafted or one.finish == "stop"  # nothing is said past the end
    never = {token for one in wanted for token in one.ids}
    useless = next(token for token in range(61) if token not in never)
    wrong = built("alone", lambda: Scripted(lambda tokens, limit: [useless] * limit))
    found = wrong.generate(prompts, GREEDY)
    assert wrong.num_steps == plain.num_steps
    assert sum(one.num_accepted for one in found) == 0 < sum(one.num_drafted for one in found)


def test_guesses_past_the_end_of_an_answer_do_not_count_as_right(built, model, prompts):
    found = built(open_drafter=DraftModel(model, vocab_size=61).open).generate(prompts, GREEDY)
    assert {one.finish for one in found} == {"stop", "length"}
    for one in found:
        assert one.num_accepted < len(one.ids)  # the first token is said without a guess


def test_nothing_is_guessed_where_it_does_not_pay(built, prompts):
    found = built(open_drafter=PromptLookup, costs=DEAR).generate(prompts, GREEDY)
    assert_same(found, built().generate(prompts, GREEDY))
    assert sum(one.num_drafted for one in found) == 0


def test_costs_are_measured_where_none_are_given_and_answers_do_not_depend_on_them(built, prompts):
    engine = built(open_drafter=PromptLookup, costs=None)
    assert engine.num_steps == 0
    assert_same(engine.generate(prompts, GREEDY), built().generate(prompts, GREEDY))


def test_every_drafter_is_closed_once_however_its_request_ends(built, prompts):
    opened = []

    def opening():
        opened.append(Scripted(erratic))
        return opened[-1]

    now = [0.0]
    engine = built(open_drafter=opening, clock=lambda: now[0])
    numbers = [
        engine.submit(Request(prompt, GREEDY, deadline=1.0 if place == 2 else None)) for place, prompt in enumerate(prompts)
    ]
    engine.step()
    engine.step()
    engine.abort(numbers[0])
    now[0] = 2.0
    while not engine.is_idle:
        engine.step()
    ends = [engine.take(number).finish for number in numbers]
    assert {"aborted", "deadline"} < set(ends)
    assert [one.num_closed for one in opened] == [1] * len(prompts)


@pytest.mark.parametrize(
    ("script", "named"),
    [
        (lambda tokens, limit: [61], "proposed id 61; want ids from 0 to 60"),
        (lambda tokens, limit: [9, -1], "proposed id -1"),
        (lambda tokens, limit: [9] * (limit + 1), "tokens; want at most the"),
    ],
)
def test_what_is_no_proposal_ends_its_request_and_no_other(built, prompts, script, named):
    wanted = built().generate(prompts, GREEDY)
    scripts = iter([SCRIPTS["erratic"]] * 3 + [script] + [SCRIPTS["erratic"]] * len(prompts))
    engine = built(open_drafter=lambda: Scripted(next(scripts)))
    found = engine.generate(prompts, GREEDY)
    assert found[3].finish == "error"
    assert named in found[3].error
    assert found[3].ids == wanted[3].ids[: len(found[3].ids)]
    assert_same(found[:3] + found[4:], wanted[:3] + wanted[4:])
    engine.check()
