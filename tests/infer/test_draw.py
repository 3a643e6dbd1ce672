"""A request whose own settings leave nothing to say ends, and nobody beside it notices."""

import math

import numpy as np
import pytest

from whorl.infer.draft import PromptLookup
from whorl.infer.engine import Engine, Request, Sampling, Setup
from whorl.infer.pays import StepCosts

VOCAB, MOST = 61, 8
NOTHING = dict.fromkeys(range(VOCAB), -math.inf)
FREE = StepCosts((1, 17), (1.0, 1.0))


class Only:
    """A structure that allows these ids after the first few tokens, and all before."""

    def __init__(self, ids, after=0):
        self.ids, self.left, self.is_finished, self.is_complete = list(ids), after, False, False

    def allowed(self):
        mask = np.full(VOCAB, self.left > 0)
        mask[self.ids] = True
        return mask

    def accept(self, token):
        assert self.allowed()[token], "what is not allowed was said"
        self.left -= 1

    def accepted_by(self, tokens):
        return len(tokens)


def answers(model, prompts, hurt, setup=Setup()):
    """What everybody gets, with one more request in the middle that is hurt; the hurt one last."""
    engine = Engine(model, stop_ids={1}, pad_id=2, setup=setup, open_drafter=PromptLookup, costs=FREE)
    samplings = [Sampling(MOST), Sampling(MOST, temperature=1.0), Sampling(MOST, frequency_penalty=0.5)]
    requests = [Request(prompt, samplings[place % 3], place) for place, prompt in enumerate(prompts)]
    numbers = [engine.submit(one) for one in requests[:4]]
    mine = engine.submit(hurt) if hurt else None
    numbers += [engine.submit(one) for one in requests[4:]]
    found = engine.finish(numbers if mine is None else [*numbers, mine])
    engine.check()
    assert engine.is_idle
    assert engine.pool.num_held == 0
    return found


@pytest.mark.parametrize("how", [{}, {"temperature": 1.0}, {"temperature": 0.7, "top_k": 3, "top_p": 0.9, "min_p": 0.1}])
@pytest.mark.parametrize(
    ("bias", "ids", "named"),
    [
        (NOTHING, None, "logit_bias, which forbids 61 ids, leave none of 61 ids"),
        ({3: -math.inf, 4: -math.inf}, [3, 4], "logit_bias, which forbids 2 ids and the structure, which allows 2, leave none"),
        ({}, [], "the structure, which allows 0, leave none of 61 ids"),
    ],
)
def test_a_request_that_may_say_nothing_ends_with_an_error_and_the_others_go_on(model, prompts, how, bias, ids, named):
    guide = None if ids is None else Only(ids)
    *others, hurt = answers(model, prompts, Request([9, 10], Sampling(MOST, logit_bias=bias, **how), guide=guide))
    assert (hurt.finish, hurt.ids) == ("error", ())
    assert named in hurt.error
    assert "want at least one (forbid fewer, or allow more): nothing can be said after 0 tokens" in hurt.error
    assert others == answers(model, prompts, None)


def test_what_was_said_before_nothing_is_left_is_kept(model, prompts):
    free = answers(model, prompts, Request([9, 10], Sampling(MOST, logit_bias={1: -math.inf, 20: -math.inf})))[-1]
    request = Request([9, 10], Sampling(MOST, logit_bias={1: -math.inf, 20: -math.inf}), guide=Only([20], after=3))
    *others, hurt = answers(model, prompts, request)
    assert (hurt.finish, hurt.ids) == ("error", free.ids[:3])
    assert hurt.error.endswith("nothing can be said after 3 tokens")
    assert others == answers(model, prompts, None)


@pytest.mark.parametrize("how", [{}, {"temperature": 1.0}])
@pytest.mark.parametrize("setting", [{"repetition_penalty": 1e-300}, {"frequency_penalty": -1e39}])
def test_penalties_that_make_logits_infinite_are_no_likeliest_token(model, prompts, how, setting):
    *others, hurt = answers(model, prompts, Request(list(range(9, 40)), Sampling(MOST, **how, **setting)))
    assert hurt.finish == "error"
    assert "make the largest logit inf, want a finite one (take numbers of the size of logits): nothing" in hurt.error
    ((name, value),) = setting.items()
    assert f"{name}={value:g}" in hurt.error
    assert others == answers(model, prompts, None)


def test_all_but_one_id_may_be_forbidden(model, prompts):
    bias = {token: -math.inf for token in range(VOCAB) if token != 17}
    for how in ({}, {"temperature": 1.0, "top_k": 5}):
        found = answers(model, prompts, Request([9], Sampling(MOST, logit_bias=bias, **how)))[-1]
        assert (found.ids, found.finish) == ((17,) * MOST, "length")
