"""Which tokens a step computes, by example and against a naive picture of what blocks hold."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from whorl.infer.pool import BlockPool
from whorl.infer.scheduler import Limits, Running, Scheduler


def scheduler(*, blocks=8, size=2, rows=3, tokens=6):
    return Scheduler(BlockPool(blocks, size), Limits(rows, tokens))


def request(number, prompt, *, max_tokens=4, **rest):
    return Running(number, list(prompt), len(prompt), max_tokens, **rest)


def step(of, token=9):
    """Compute what is planned; who is complete says `token`. The plan as (number, start, end)."""
    chunks = of.plan()
    for chunk in chunks:
        of.computed(chunk)
        if chunk.completes:
            of.said(chunk.request, token)
    of.check()
    return [(chunk.request.number, chunk.start, chunk.end) for chunk in chunks]


def test_a_long_prompt_is_read_in_pieces_while_the_others_go_on_decoding():
    one = scheduler(blocks=16)
    one.submit(request(0, [1]))
    assert step(one) == [(0, 0, 1)]
    one.submit(request(1, range(10, 20)))
    assert step(one) == [(0, 1, 2), (1, 0, 5)]
    assert step(one) == [(0, 2, 3), (1, 5, 10)]
    assert step(one) == [(0, 3, 4), (1, 10, 11)]


def test_a_known_beginning_is_not_computed_again_but_the_last_token_always_is():
    one = scheduler()
    one.submit(request(0, [1, 2, 3, 4]))
    assert step(one) == [(0, 0, 4)]
    one.submit(request(1, [1, 2, 3, 4]))
    one.submit(request(2, [1, 2, 7]))
    assert step(one) == [(0, 4, 5), (1, 2, 4), (2, 2, 3)]


def test_tenants_of_other_salts_share_nothing():
    one = scheduler()
    one.submit(request(0, [1, 2, 3], salt=b"a"))
    step(one)
    one.submit(request(1, [1, 2, 3], salt=b"b"))
    assert step(one)[1] == (1, 0, 3)


def test_the_request_that_matters_least_gives_its_blocks_to_the_others():
    one = scheduler(blocks=4)
    first, last = request(0, [1, 2, 3, 4], max_tokens=4), request(1, [5, 6, 7], max_tokens=5)
    one.submit(first)
    one.submit(last)
    assert step(one) == [(0, 0, 4), (1, 0, 2)]
    assert step(one) == [(0, 4, 5)]
    assert (last.num_preemptions, last.blocks, one.waiting) == (1, [], [last])
    one.drop(first)
    assert step(one)[0][0] == 1


def test_priority_goes_before_arrival():
    one = scheduler(rows=1)
    one.submit(request(0, [1], priority=1))
    one.submit(request(1, [2], priority=0))
    assert step(one) == [(1, 0, 1)]


def test_after_new_weights_nothing_is_found_and_everything_is_computed_again():
    one = scheduler()
    one.submit(request(0, [1, 2, 3, 4]))
    step(one)
    one.restart()
    assert one.pool.num_named == 0
    assert step(one) == [(0, 0, 5)]


def test_only_passed_deadlines_expire_running_or_waiting():
    one = scheduler(rows=1)
    one.submit(request(0, [1], deadline=5.0))
    one.submit(request(1, [1], deadline=7.0))
    one.submit(request(2, [1]))
    step(one)
    assert [late.number for late in one.expired(5.0)] == [0]
    assert [late.number for late in one.expired(9.0)] == [0, 1]


class Machine(RuleBasedStateMachine):
    """Requests come, move, end and are aborted in any order; blocks are checked against a picture of what was written."""

    def __init__(self):
        super().__init__()
        self.scheduler = Scheduler(BlockPool(6, 2), Limits(3, 4))
        self.written = {}  # block -> tokens, as a model would have filled it
        self.alive = []
        self.number = 0

    @rule(
        prompt=st.lists(st.integers(0, 1), min_size=1, max_size=7),
        max_tokens=st.integers(1, 5),
        priority=st.integers(0, 1),
        salt=st.sampled_from([b"a", b"b"]),
    )
    def submit(self, prompt, max_tokens, priority, salt):
        new = Running(self.number, list(prompt), len(prompt), max_tokens, priority, salt=salt)
        self.number += 1
        assert self.scheduler.fits(len(prompt) + max_tokens)
        self.scheduler.submit(new)
        self.alive.append(new)

    @precondition(lambda self: self.alive)
    @rule(token=st.integers(0, 1))
    def step(self, token):
        budget, before = self.scheduler.limits.tokens, {one.number: one.num_computed for one in self.scheduler.running}
        chunks = self.scheduler.plan()
        assert sum(chunk.end - chunk.start for chunk in chunks) <= budget
        assert len({chunk.request.number for chunk in chunks}) == len(chunks)
        assert any(chunk.request is self.scheduler.running[0] for chunk in chunks), "of those running, the first must move"
        for chunk in chunks:
            assert chunk.start == chunk.request.num_computed == before.get(chunk.request.number, chunk.start)
            self.write(chunk)
            self.scheduler.computed(chunk)
            if not chunk.completes:
                continue
            self.scheduler.said(chunk.request, token)
            if len(chunk.request.tokens) - chunk.request.num_prompt == chunk.request.max_tokens:
                self.end(chunk.request)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def abort(self, data):
        self.end(data.draw(st.sampled_from(self.alive)))

    @rule()
    def new_weights(self):
        self.scheduler.restart()
        self.written.clear()

    def write(self, chunk):
        for place in range(chunk.start, chunk.end):
            block = chunk.request.blocks[place // 2]
            filled = self.written.setdefault(block, {})
            filled[place % 2] = chunk.request.tokens[place]

    def end(self, request):
        self.alive.remove(request)
        self.scheduler.drop(request)
        assert request.blocks == []

    @invariant()
    def blocks_hold_what_their_requests_computed(self):
        self.scheduler.check()
        for one in self.scheduler.running:
            for place in range(one.num_computed):
                assert self.written[one.blocks[place // 2]][place % 2] == one.tokens[place]

    @invariant()
    def nothing_is_held_when_nothing_runs(self):
        if not self.alive:
            assert self.scheduler.is_idle
            assert self.scheduler.pool.num_held == 0


Machine.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestMachine = Machine.TestCase
