"""The scheduler in any order of events against a naive picture: what every place of every block was computed from."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from whorl.infer.pool import BlockPool
from whorl.infer.scheduler import Limits, Running, Scheduler

EVENTS = ("nothing", "nothing", "nothing", "abort", "new_weights", "time_passes")
BITS = st.integers(0, 1)
NEWCOMERS = st.tuples(
    st.lists(BITS, min_size=1, max_size=8),
    st.integers(1, 5),  # tokens it may say
    st.integers(0, 1),  # priority
    st.none() | st.integers(0, 6),  # what is left until its deadline
    st.sampled_from([b"a", b"b"]),
    st.booleans(),  # whether somebody wants what its prompt gives
)


class Machine(RuleBasedStateMachine):
    """Keys and values at a place are a function of the tokens up to it, of the weights and of nothing else; a tenant's are its
    own. `written` has them for every block as a model would have left them."""

    @initialize(
        blocks=st.integers(5, 9),
        size=st.integers(1, 3),
        rows=st.integers(1, 4),
        more=st.integers(0, 6),
        reuses=st.sampled_from([True, True, True, False]),
    )
    def build(self, blocks, size, rows, more, reuses):
        self.size, self.reuses = size, reuses
        self.scheduler = Scheduler(BlockPool(blocks, size), Limits(rows, rows + more), reuses=reuses)
        self.written, self.version, self.now, self.number = {}, 0, 0, 0
        self.alive, self.prompts = [], {}
        self.fresh = {}  # by request: places that somebody still waits to see computed

    # One rule for all: among many, hypothesis drops some from each run, and what is left may never take a step.
    @rule(data=st.data(), newcomers=st.lists(NEWCOMERS, max_size=3), event=st.sampled_from(EVENTS), steps=st.integers(1, 3))
    def a_while(self, data, newcomers, event, steps):
        for newcomer in newcomers:
            self.submit(*newcomer)
        getattr(self, event)(data)
        for _ in range(steps):
            self.step(data.draw(st.lists(BITS, max_size=3)))
            self.agree()

    def submit(self, prompt, most, priority, lasts, salt, wants):
        if not self.scheduler.fits(len(prompt) + most):
            return
        wants = wants and len(prompt) > 1
        deadline = None if lasts is None else self.now + lasts
        rest = {"salt": salt, "fresh_from": len(prompt) // 2 if wants else None}
        new = Running(self.number, list(prompt), len(prompt), most, priority, deadline, **rest)
        self.prompts[self.number] = list(prompt)
        self.fresh[self.number] = set(range(len(prompt) // 2, len(prompt))) if wants else set()
        self.number += 1
        self.scheduler.submit(new)
        self.alive.append(new)

    def nothing(self, data):
        pass

    def abort(self, data):
        if self.alive:
            self.end(data.draw(st.sampled_from(self.alive)))

    def new_weights(self, data):
        self.version += 1
        self.scheduler.restart()

    def time_passes(self, data):
        self.now += 2
        late = [one for one in self.alive if one.deadline is not None and one.deadline <= self.now]
        assert {one.number for one in self.scheduler.expired(self.now)} == {one.number for one in late}
        for one in late:
            self.end(one)

    def step(self, guesses):
        """Plan, compute, say. Who decodes is guessed for; the truth is a function of what was said."""
        scheduler = self.scheduler
        for one in scheduler.running:
            one.draft = guesses[: one.max_tokens - self.num_said(one) - 1] if one.is_decoding else []
        before = {one.number: one.num_computed for one in scheduler.running}
        self.preempted = {one.number: one.num_preemptions for one in self.alive}
        decoding = [one for one in scheduler.running if one.is_decoding]
        chunks = scheduler.plan()
        assert bool(chunks) == bool(self.alive)
        self.agree()
        self.check_plan(chunks, before, decoding)
        for chunk in chunks:
            for place in range(chunk.start, chunk.end):
                self.write(chunk.request, place, chunk.request.tokens + chunk.request.draft)
            self.fresh[chunk.request.number] -= set(range(chunk.start, chunk.end))
            scheduler.computed(chunk)
            if chunk.completes:
                self.say(chunk.request)

    def check_plan(self, chunks, before, decoding):
        """Whoever can move does, as far as budget and blocks allow, and nobody goes over something."""
        scheduler, planned = self.scheduler, {chunk.request.number: chunk for chunk in chunks}
        spent = sum(chunk.end - chunk.start for chunk in chunks)
        assert len(planned) == len(chunks)
        assert spent <= scheduler.limits.tokens
        # Somebody new of a higher priority waits where guesses have spent what a step may hold.
        guessed = spent == scheduler.limits.tokens and any(one.draft for one in decoding)
        assert not chunks or guessed or scheduler.running[0].number in planned, "of those running, the first must move"
        for one in decoding:
            assert one.number in planned or one not in scheduler.running, "who decodes moves in every step or is preempted"
        for request, start, end in chunks:
            whole = request.tokens + request.draft
            assert planned[request.number].ids == whole[start:end] != []
            assert planned[request.number].completes == (end >= len(request.tokens))
            assert start == request.num_computed == before.get(request.number, start)
            assert end <= len(request.blocks) * self.size, "a token without a block"
            assert end - start == 1 + len(request.draft) if request in decoding else not request.draft
        is_short = any(one.num_preemptions > self.preempted[one.number] for one in self.alive)  # what it was to do is not done
        if spent < scheduler.limits.tokens and not is_short:
            for one in scheduler.running:
                end = planned[one.number].end if one.number in planned else one.num_computed
                is_stuck = scheduler.pool.num_available == 0 and end == len(one.blocks) * self.size
                assert is_stuck or end == len(one.tokens) + len(one.draft), "it could have gone further"

    def say(self, request):
        assert not self.fresh[request.number], "what somebody wants to see was found instead of computed"
        left = request.max_tokens - self.num_said(request)
        said = [self.truth(request.tokens)]
        for guess in request.draft:
            if guess != said[-1] or len(said) == left:
                break
            said.append(self.truth(request.tokens + said))
        self.scheduler.said(request, *said)
        if self.num_said(request) == request.max_tokens:
            self.end(request)

    def truth(self, tokens):
        return (tokens[-1] + len(tokens) * (1 + sum(tokens))) // 2 % 2

    def num_said(self, request):
        return len(request.tokens) - len(self.prompts[request.number])

    def write(self, request, place, tokens):
        cells = self.written.setdefault(request.blocks[place // self.size], {})
        cells[place % self.size] = self.content(request, place, tokens)

    def content(self, request, place, tokens):
        return self.version, request.salt if self.reuses else b"", tuple(tokens[: place + 1])

    def end(self, request):
        self.alive.remove(request)
        self.scheduler.drop(request)
        assert request.blocks == []
        assert self.scheduler.running.count(request) == 0

    @invariant()
    def agree(self):
        """Everybody is somewhere once, in order; blocks hold what their requests were computed from; what is found is true."""
        if not hasattr(self, "scheduler"):
            return
        scheduler = self.scheduler
        scheduler.check()
        there = [*scheduler.running, *scheduler.waiting]
        assert sorted(one.number for one in there) == sorted(one.number for one in self.alive)
        for queue in (scheduler.running, scheduler.waiting):
            assert [one.rank for one in queue] == sorted(one.rank for one in queue)
        assert scheduler.is_idle == (not self.alive)
        held = Counter(block for one in scheduler.running for block in one.blocks)
        counted = {number: block.holders for number, block in enumerate(scheduler.pool._blocks) if block.holders}
        assert counted == held, "a block has other holders than requests know of"
        for one in scheduler.running:
            assert one.tokens[: one.num_prompt] == self.prompts[one.number], "a prompt has changed"
            for place in range(one.num_computed):
                wanted = self.content(one, place, one.tokens)
                assert self.written[one.blocks[place // self.size]][place % self.size] == wanted

    def teardown(self):
        """Everybody comes to an end: a step computes something of the first, who is never preempted."""
        if not hasattr(self, "scheduler"):
            return
        left = sum(len(self.prompts[one.number]) + one.max_tokens for one in self.alive)
        for _ in range(2 * left):
            if not self.alive:
                break
            self.step([])
            self.agree()
        assert not self.alive
        assert self.scheduler.pool.num_held == 0


Machine.TestCase.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
TestMachine = Machine.TestCase
