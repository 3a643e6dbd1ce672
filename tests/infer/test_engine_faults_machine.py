"""The engine in any order of events against a naive picture: whole passes of the model, and lists of who is there."""

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from whorl.infer.beam import Beam, beam_search, search
from whorl.infer.draft import PromptLookup
from whorl.infer.engine import Engine, Request, Sampling, Setup
from whorl.infer.pays import StepCosts
from whorl.infer.sampler import Past, Settings, adjust, choose, uniform
from whorl.model.families import Family
from whorl.model.transformer import Transformer

VOCAB, POSITIONS, STOP = 7, 16, 0
KNOWN = {}  # logits by weights and tokens: machines ask the same again and again
FREE = StepCosts((1, 17), (1.0, 1.0))
SAMPLINGS = (
    {},
    {"temperature": 1.0},
    {"temperature": 0.8, "top_k": 4, "top_p": 0.9},
    {"temperature": 1.0, "repetition_penalty": 1.4, "frequency_penalty": 0.3, "logit_bias": {3: 1.0}},
)


EVENTS = ("nothing", "nothing", "abort", "abort_too_late", "new_weights", "beam_search_beside")
PROMPTS = st.integers(1, 9).flatmap(lambda length: st.lists(st.integers(1, 3), min_size=length, max_size=length))
REQUESTS = st.tuples(
    st.builds(
        Request,
        PROMPTS,
        st.builds(lambda how, most: Sampling(most, **how), st.sampled_from(SAMPLINGS), st.integers(0, 7)),
        st.integers(0, 3),
        priority=st.integers(0, 1),
        salt=st.sampled_from([b"a", b"b"]),
    ),
    st.none() | st.integers(1, 12),  # it may take so long
)


def tiny_model(seed):
    dials = {"use": "llama", "depth": 2, "width": 16, "heads": 2, "kv_heads": 1, "tied": False}
    model, rng = Transformer(Family.model_validate(dials).configure(VOCAB, POSITIONS)), np.random.default_rng(seed)
    for parameter in model.parameters():
        parameter.data.copy_(torch.from_numpy(rng.normal(float(parameter.ndim == 1), 0.3, parameter.shape)))
    return model.requires_grad_(requires_grad=False)


class Naive:
    """What a request has said, and what it must say next, by whole passes."""

    def __init__(self, request):
        self.request, self.said = request, []

    def next_id(self, version, model):
        tokens = (*self.request.prompt, *self.said)
        if (version, tokens) not in KNOWN:
            KNOWN[version, tokens] = model.head(model(torch.tensor([tokens])))[0, -1]
        logits, sampling = KNOWN[version, tokens].clone(), self.request.sampling
        adjust(logits, sampling, Past(frozenset(self.request.prompt), Counter(self.said)))
        row = Settings.of([sampling], vocab_size=VOCAB)
        drawn = uniform(self.request.seed, len(self.said))
        return int(choose(logits[None], row, uniforms=torch.tensor([drawn], dtype=torch.float64)))

    @property
    def finish(self):
        """How it has ended by itself."""
        if self.said and self.said[-1] == STOP:
            return "stop"
        return "length" if len(self.said) >= self.request.sampling.max_tokens else None


class Machine(RuleBasedStateMachine):
    models = tuple(tiny_model(seed) for seed in (0, 1))

    def __init__(self):
        super().__init__()
        self.now, self.version = 0.0, 0
        self.alive, self.aborted, self.ended = {}, set(), set()

    @initialize(
        rows=st.integers(1, 4),
        step_tokens=st.integers(1, 9),
        block_size=st.integers(1, 4),
        reuses=st.booleans(),
        guesses=st.booleans(),
        extra=st.integers(0, 24),
    )
    def build(self, rows, step_tokens, block_size, reuses, guesses, extra):
        setup = Setup(rows=rows, step_tokens=step_tokens, block_size=block_size, cache_tokens=POSITIONS + extra, reuses=reuses)
        drafter = PromptLookup if guesses else None
        self.engine = Engine(
            self.models[0], stop_ids={STOP}, pad_id=2, setup=setup, open_drafter=drafter, costs=FREE, clock=lambda: self.now
        )

    # One rule for all: among many, hypothesis drops some from each run, and what is left may never take a step.
    @rule(data=st.data(), newcomers=st.lists(REQUESTS, max_size=3), event=st.sampled_from(EVENTS), steps=st.integers(1, 3))
    def a_while(self, data, newcomers, event, steps):
        for request, lasts in newcomers:
            request = replace(request, deadline=None if lasts is None else self.now + lasts)
            self.alive[self.engine.submit(request)] = Naive(request)
        getattr(self, event)(data)
        for _ in range(steps):
            self.now += 1
            self.one_step()
            self.engine.check()

    def nothing(self, data):
        pass

    def abort(self, data):
        for _ in range(min(2, len(self.alive))):
            number = data.draw(st.sampled_from(sorted(self.alive)))
            self.engine.abort(number)
            self.aborted.add(number)

    def abort_too_late(self, data):
        if self.ended:
            self.engine.abort(data.draw(st.sampled_from(sorted(self.ended))))

    def new_weights(self, data):
        self.version += 1
        self.engine.refresh(self.models[self.version % 2])

    def beam_search_beside(self, data):
        prompt = data.draw(PROMPTS)
        room = self.engine.pool.num_available * self.engine.pool.block_size
        if room < 2 * (len(prompt) + 3 + self.engine.pool.block_size):
            return
        model = self.models[self.version % 2]

        def ahead(answers):
            return model.head(model(torch.tensor([[*prompt, *one] for one in answers])))[:, -1].log_softmax(-1)

        wanted = search(ahead, Beam(2, 3), stop_ids={STOP})
        assert [one.ids for one in beam_search(self.engine, prompt, Beam(2, 3))] == [one.ids for one in wanted]

    def one_step(self):
        late = {number for number, one in self.alive.items() if (one.request.deadline or self.now + 1) <= self.now}
        told = self.engine.step()
        numbers = [one.number for one in told]
        assert len(set(numbers)) == len(numbers)
        early = {one.number: one.finish for one in told if one.finish in ("aborted", "deadline")}
        assert set(early) == (late | self.aborted) & set(self.alive)
        for one in told:
            assert one.number in self.alive, "told about somebody who is not there"
            self.compare(one)
        self.aborted.clear()

    def compare(self, told):
        naive = self.alive[told.number]
        for token in told.ids:
            assert naive.finish is None, "said on after the end"
            assert token == naive.next_id(self.version % 2, self.models[self.version % 2])
            naive.said.append(token)
        if told.finish in ("aborted", "deadline"):
            assert not told.ids
        else:
            assert told.finish == naive.finish
        if told.finish is not None:
            found = self.engine.take(told.number)
            assert (list(found.ids), found.finish, found.error) == (naive.said, told.finish, "")
            assert len(found.logprobs) == len(found.ids)
            del self.alive[told.number]
            self.ended.add(told.number)

    @invariant()
    def blocks_and_requests_agree(self):
        if hasattr(self, "engine"):
            self.engine.check()
            assert self.engine.is_idle or self.alive or self.ended

    def teardown(self):
        if not hasattr(self, "engine"):
            return
        left = sum(len(one.request.prompt) + one.request.sampling.max_tokens for one in self.alive.values())
        # Everybody moves: a request alone reads or says a token a step, and the first is never preempted.
        for _ in range(2 * left + len(self.alive) + 2):
            if self.engine.is_idle:
                break
            self.one_step()
            self.engine.check()
        assert self.engine.is_idle
        assert not self.alive
        assert self.engine.pool.num_held == 0


Machine.TestCase.settings = settings(max_examples=50, stateful_step_count=15, deadline=None)
TestMachine = Machine.TestCase


def test_the_naive_picture_is_not_trivial():
    """It draws other ids for other seeds, weights and samplings, and some answers stop."""
    answers = set()
    for version, how, seed in itertools.product((0, 1), SAMPLINGS, range(3)):
        naive = Naive(Request([1, 2, 3], Sampling(7, **how), seed))
        while naive.finish is None:
            naive.said.append(naive.next_id(version, Machine.models[version]))
        answers.add(tuple(naive.said))
    assert len(answers) > 12
    assert {answer[-1] == STOP for answer in answers} == {True, False}


@pytest.fixture(autouse=True, scope="module")
def no_gradients():
    with torch.no_grad():
        yield
