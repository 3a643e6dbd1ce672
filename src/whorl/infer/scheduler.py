"""infer/scheduler: which tokens of which requests the next step computes.

A step takes the newest token of every request that is decoding, then pieces of prompts until a budget of tokens is spent: long
prompts never make the others wait for more than a step. When blocks run out, the request that matters least gives its own
back and is computed again later; what it has said stays said. Does not run the model, sample, or read a clock.
"""

import heapq
from bisect import insort
from dataclasses import dataclass, field
from typing import NamedTuple

from whorl.infer.pool import SALT, BlockPool

__all__ = ["Chunk", "Limits", "Running", "Scheduler"]


class Limits(NamedTuple):
    """What one step may hold."""

    rows: int  # requests computed side by side
    tokens: int  # of one step; at least `rows`, so that every decoding request moves


@dataclass(eq=False)
class Running:
    """A request on its way: what it is made of and how far it has been computed."""

    number: int  # in order of arrival
    tokens: list[int]  # the prompt, then what was said
    num_prompt: int
    max_tokens: int  # that may be said
    priority: int = 0  # lower goes first
    deadline: float | None = None  # on the caller's clock; past it the request ends
    salt: bytes = SALT  # requests of different salts never share blocks
    fresh_from: int | None = None  # tokens from here on are computed even if they are known: someone wants what they gave
    draft: list[int] = field(default_factory=list)  # guesses of what follows the tokens, checked in the next step
    num_computed: int = 0  # tokens whose keys and values are in blocks
    blocks: list[int] = field(default_factory=list)
    names: list[bytes] = field(default_factory=list)  # of the full blocks
    num_cached: int = 0  # tokens found instead of computed, last time it was admitted
    num_preemptions: int = 0

    @property
    def rank(self) -> tuple[int, int]:
        """The lowest matters most."""
        return self.priority, self.number

    @property
    def num_left(self) -> int:
        """Tokens to compute before the next one can be said."""
        return len(self.tokens) - self.num_computed

    @property
    def is_decoding(self) -> bool:
        """Whether only the newest token is left to compute."""
        return self.num_left == 1 and self.num_computed > 0

    def is_late(self, now: float) -> bool:
        """Whether its deadline has passed."""
        return self.deadline is not None and self.deadline <= now


class Chunk(NamedTuple):
    """Tokens [start, end) of a request, guesses counted in, to compute in this step."""

    request: Running
    start: int
    end: int

    @property
    def ids(self) -> list[int]:
        """What is computed."""
        return self.request.tokens[self.start : self.end] + self.request.draft[: self.num_guessed]

    @property
    def num_tokens(self) -> int:
        """How many it is."""
        return self.end - self.start

    @property
    def num_guessed(self) -> int:
        """How many of them, the last ones, are guesses."""
        return max(0, self.end - len(self.request.tokens))

    @property
    def completes(self) -> bool:
        """Whether the next token can be said after it."""
        return self.end >= len(self.request.tokens)


class Scheduler:
    """Requests waiting and running over one pool of blocks."""

    def __init__(self, pool: BlockPool, limits: Limits, *, reuses: bool = True) -> None:
        assert limits.tokens >= limits.rows >= 1, f"{limits}: want tokens >= rows >= 1"
        self.pool = pool
        self.limits = limits
        self.reuses = reuses  # finished blocks are named and found
        self.running: list[Running] = []  # by rank
        self._waiting: dict[int, Running] = {}  # by number
        self._queue: list[tuple[int, int]] = []  # ranks of those waiting, a heap; some may have been dropped since
        self._yielded: set[int] = set()  # had to give back their blocks in this step: blocks are short, so nobody new is let in

    @property
    def waiting(self) -> list[Running]:
        """Requests that hold no blocks, by rank."""
        return sorted(self._waiting.values(), key=lambda request: request.rank)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self.running and not self._waiting

    def fits(self, num_tokens: int) -> bool:
        """Whether a request that grows to so many tokens can ever be finished: alone in the pool, if need be."""
        return self.pool.blocks_for(num_tokens) <= self.pool.num_blocks

    def submit(self, request: Running) -> None:
        """Queue a request. It must fit: see `fits`."""
        assert request.tokens, "a request has at least one token"
        assert self.fits(request.num_prompt + request.max_tokens), "a request too large for the pool was let in"
        self._queue_up(request)

    def plan(self) -> list[Chunk]:
        """What the next step computes; blocks for all of it are taken. Empty only when nothing is left to do."""
        chunks: list[Chunk] = []
        budget = self.limits.tokens
        self._yielded.clear()
        decoding = [request for request in self.running if request.is_decoding]
        for place, request in enumerate(decoding):
            if request.number in self._yielded:
                continue
            self._trim_draft(request, budget - (len(decoding) - place))
            end = len(request.tokens) + len(request.draft)
            if self._grow(request, end):
                chunks.append(Chunk(request, request.num_computed, end))
                budget -= chunks[-1].num_tokens
        self._let_in()
        planned = {chunk.request.number for chunk in chunks}
        for request in [one for one in self.running if one.number not in planned]:
            if budget <= 0 or request.number in self._yielded:
                continue
            end = self._reach(request, min(len(request.tokens), request.num_computed + budget))
            if end > request.num_computed:
                chunks.append(Chunk(request, request.num_computed, end))
                budget -= chunks[-1].num_tokens
        chunks = [chunk for chunk in chunks if chunk.request.number not in self._yielded]  # to those that were planned later
        assert chunks or self.is_idle, "nothing can move, and something is left to do"
        return chunks

    def computed(self, chunk: Chunk) -> None:
        """The keys and values of a chunk are in its blocks now."""
        request = chunk.request
        assert chunk.start == request.num_computed, "chunks are computed in order"
        request.num_computed = min(chunk.end, len(request.tokens))
        self._name_full(request)

    def said(self, request: Running, *tokens: int) -> None:
        """A request has new tokens. All but the last are guesses that were right, so they are computed; it is next."""
        assert request.num_left == 0, "a token is said after everything before it was computed"
        assert list(tokens[:-1]) == request.draft[: len(tokens) - 1], "said at once are guesses of the last step and one more"
        request.tokens.extend(tokens)
        request.num_computed += len(tokens) - 1
        request.draft = []
        self._name_full(request)

    def drop(self, request: Running) -> None:
        """The one way out: a request that finished, failed or was aborted, wherever it is, gives back all it holds."""
        if self._waiting.pop(request.number, None) is None and request in self.running:
            self.running.remove(request)
        self._give_back(request)

    def restart(self) -> None:
        """Weights have changed: no block is worth anything. What runs is computed again from its tokens."""
        for request in list(self.running):
            self._preempt(request)
        self.pool.forget()

    def expired(self, now: float) -> list[Running]:
        """Requests whose deadline has passed."""
        everyone = [*self.running, *self._waiting.values()]
        return [request for request in everyone if request.is_late(now)]

    def check(self) -> None:
        """Raise AssertionError unless blocks and requests agree."""
        self.pool.check_holders(request.blocks for request in self.running)
        for request in self.running:
            assert len(request.blocks) * self.pool.block_size >= request.num_computed, "computed tokens without a block"
        assert not any(request.blocks for request in self._waiting.values()), "a waiting request holds blocks"
        assert len(self.running) <= self.limits.rows, "more requests run than rows"

    def _let_in(self) -> None:
        """Let requests run by rank while there are rows and blocks for them."""
        while self._queue and len(self.running) < self.limits.rows and not self._yielded:
            number = self._queue[0][1]
            if number in self._waiting:
                if not self._admit(self._waiting[number]):
                    break
                del self._waiting[number]
            heapq.heappop(self._queue)

    def _admit(self, request: Running) -> bool:
        """Let a request run, with what is known of its beginning. Not while the pool could not hold its first new block."""
        if not self.pool.num_available:
            return False  # before anything is looked up: it is asked for in every step until there is room
        self._adopt_known(request)
        if not self.pool.num_available:
            self._give_back(request)
            return False
        insort(self.running, request, key=lambda one: one.rank)
        return True

    def _adopt_known(self, request: Running) -> None:
        """Hold the blocks that already have this request's first tokens; the last token is always computed."""
        last = len(request.tokens) - 1 if request.fresh_from is None else min(len(request.tokens) - 1, request.fresh_from)
        known = self.pool.hold_known(request.tokens, end=last if self.reuses else 0, salt=request.salt)
        request.blocks, request.names = known
        request.num_computed = request.num_cached = len(known.blocks) * self.pool.block_size

    def _trim_draft(self, request: Running, room: int) -> None:
        """Guesses are free or they are not made: they take no blocks from others and no more tokens than are left."""
        spare = (len(request.blocks) + self.pool.num_available) * self.pool.block_size - len(request.tokens)
        del request.draft[max(0, min(room, spare)) :]

    def _grow(self, request: Running, num_tokens: int) -> bool:
        """Take blocks until they hold so many tokens, from requests that matter less if need be. False: it had to yield."""
        while len(request.blocks) < self.pool.blocks_for(num_tokens):
            block = self.pool.take()
            if block is not None:
                request.blocks.append(block)
                continue
            last = self.running[-1]
            self._preempt(last)
            if last is request:
                return False
        return True

    def _reach(self, request: Running, end: int) -> int:
        """How far a prompt can be read without taking anything from anybody; the first of all may take."""
        room = (len(request.blocks) + self.pool.num_available) * self.pool.block_size
        if request is self.running[0] and room < end:
            return end if self._grow(request, end) else request.num_computed
        end = min(end, room)
        if end > request.num_computed:
            self._grow(request, end)
        return end

    def _name_full(self, request: Running) -> None:
        if self.reuses:
            end = request.num_computed
            self.pool.name_full(request.tokens, request.blocks, names=request.names, end=end, salt=request.salt)

    def _preempt(self, request: Running) -> None:
        self.running.remove(request)
        self._give_back(request)
        request.num_preemptions += 1
        request.draft = []
        self._yielded.add(request.number)
        self._queue_up(request)

    def _queue_up(self, request: Running) -> None:
        self._waiting[request.number] = request
        heapq.heappush(self._queue, request.rank)

    def _give_back(self, request: Running) -> None:
        self.pool.release(request.blocks)
        request.blocks, request.names, request.num_computed = [], [], 0
