"""infer/engine: requests answered side by side, a step at a time: each step decodes one token of every request under way and
reads a piece of the prompts that wait.

What a request gets depends on itself alone: its draws are a function of its own seed and of how many tokens it has said; a
fault of its own ends it and nobody else. Token ids in, ids and log-probabilities out. Does not know text, chat markup or HTTP.
"""

import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np
import torch

from whorl.core.errors import DataError, UsageError
from whorl.core.seed import Seed
from whorl.infer.admission import Admission
from whorl.infer.draft import OpenDrafter, num_agreed
from whorl.infer.draw import Draw
from whorl.infer.findings import Finding, Part, findings
from whorl.infer.forward import Forward, Passed
from whorl.infer.live import Live
from whorl.infer.pays import Speculation, StepCosts
from whorl.infer.pieces import Piece
from whorl.infer.pool import BlockPool
from whorl.infer.request import Generated, Request, Sampling, Told
from whorl.infer.scheduler import Limits, Running, Scheduler
from whorl.infer.scoring import score_sequences
from whorl.infer.setup import Setup
from whorl.infer.stops import StopStrings
from whorl.infer.store import Store, bytes_per_token
from whorl.model.experts import Experts
from whorl.model.packed import pack
from whorl.model.transformer import Transformer

__all__ = ["Engine", "Generated", "Request", "Sampling", "Setup"]

_DRAFTED = 8  # guesses asked for at once, at most


class Engine:
    """A model that answers. It holds the model's tensors, not the model: what is packed is packed once, see `refresh`."""

    def __init__(  # noqa: PLR0913 - everything about one engine
        self,
        model: Transformer,
        *,
        stop_ids: Collection[int],
        pad_id: int,
        token_bytes: Sequence[bytes] | None = None,
        setup: Setup = Setup(),
        open_drafter: OpenDrafter | None = None,
        costs: StepCosts | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`token_bytes`: what each id spells, for stop strings. `open_drafter` guesses; `costs` say when that pays, by default
        they are measured here."""
        self.setup = setup
        self.stop_ids = frozenset(stop_ids)
        self.pad_id = pad_id
        self.token_bytes = token_bytes
        self.version = 0  # of the weights
        self.num_steps = 0
        self.model = self._packed(model)
        self._clock = clock
        per_token = bytes_per_token(model.config, model.compute_dtype)
        blocks = setup.num_blocks(max_positions=model.config.max_positions, bytes_per_token=per_token)
        self.pool = BlockPool(blocks, setup.block_size)
        limits = Limits(setup.rows, max(setup.rows, setup.step_tokens))
        self.scheduler = Scheduler(self.pool, limits, reuses=setup.reuses)
        self.store = Store(
            model.config, num_blocks=blocks, block_size=setup.block_size, dtype=model.compute_dtype, device=self.device
        )
        self.forward = Forward(self.model, self.store, is_fixed=setup.deterministic)
        self._admission = Admission(model.config, cache_tokens=blocks * setup.block_size, spells=token_bytes is not None)
        self._live: dict[int, Live] = {}
        self._done: dict[int, Generated] = {}
        self._aborted: deque[int] = deque()  # filled by other threads, read at every step
        self._next_number = 0
        self.speculation = None if open_drafter is None else self._speculating(open_drafter, costs)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.embed.weight.device

    @property
    def is_idle(self) -> bool:
        """Whether a step would do nothing."""
        return not self._live and not self._aborted

    def submit(self, request: Request) -> int:
        """Queue a request; the number that names it from now on.

        Raises DataError for a prompt that is empty, holds unknown ids or leaves too little context, UsageError for a model that
        is not causal or for settings this engine cannot follow.
        """
        return self._submit(request, follows=None)

    def submit_copies(self, request: Request, count: int) -> list[int]:
        """Queue `count` requests that differ in their seed only; the prompt is computed once."""
        return self.submit_alike([_seeded(request, copy) for copy in range(count)])

    def submit_alike(self, requests: Sequence[Request]) -> list[int]:
        """Queue requests of one prompt; it is computed once: the others wait for the first to find it."""
        first = self.submit(requests[0])
        leader = self._live[first]
        return [first, *(self._submit(request, follows=leader) for request in requests[1:])]

    def abort(self, number: int) -> None:
        """End a request at the next step, wherever it is. May be called from any thread; one that has ended stays as it is."""
        self._aborted.append(number)

    def take(self, number: int) -> Generated:
        """What a request got; once, after a step told how it ended."""
        return self._done.pop(number)

    @torch.inference_mode()
    def step(self) -> list[Told]:
        """Do what can be done now; what it added to each request that it added something to."""
        told = [self._ended(live) for live in self._end_early()]
        told += [self._ended(live) for live in self._guess()]
        parts = [Part(self._live[chunk.request.number], chunk) for chunk in self.scheduler.plan()]
        if parts:
            self.num_steps += 1
            told += self._advance(parts)
        return told

    def generate(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, *, seeds: Sequence[int] | None = None
    ) -> list[Generated]:
        """An answer to each prompt, in order.

        `seeds` (one per request) fix the draws of each request whatever else is asked; without them, request i draws from
        `sampling.seed` and i. Raises what `submit` raises, naming the prompt, before anything is computed.
        """
        for place, prompt in enumerate(prompts):
            self._admission.check(Request(prompt, sampling), f"prompt {place}")
        own = seeds or [Seed(sampling.seed).child(str(place)).number for place in range(len(prompts))]
        numbers = [self.submit(Request(prompt, sampling, seed=seed)) for prompt, seed in zip(prompts, own, strict=True)]
        return self.finish(numbers)

    def finish(self, numbers: Sequence[int]) -> list[Generated]:
        """Take steps until these requests have ended; what they got, in order."""
        for number in numbers:
            while number in self._live:
                self.step()
        return [self.take(number) for number in numbers]

    @torch.inference_mode()
    def score(self, sequences: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """Log-probability in nats of every token after the first, float32, for each sequence.

        Raises DataError for a sequence that is empty, holds unknown ids or is longer than the context, UsageError for a model
        that is not causal.
        """
        self._admission.check_causal("score")
        for place, sequence in enumerate(sequences):
            self._admission.check_ids(sequence, f"sequence {place}", answer=0)
        return score_sequences(self.model, sequences, pad_id=self.pad_id)

    def refresh(self, model: Transformer) -> None:
        """Go on with other weights of the same shape: nothing computed so far is read again, what is packed is packed anew."""
        if model.config != self.model.config:
            raise UsageError("refresh: the weights are of another architecture; build a new engine for it")
        self.model = self._packed(model)
        self.forward = Forward(self.model, self.store, is_fixed=self.setup.deterministic)
        self.version += 1
        self.scheduler.restart()

    def check(self) -> None:
        """Raise AssertionError unless blocks and requests agree. Cost: one look at each block."""
        self.scheduler.check()

    def _packed(self, model: Transformer) -> Transformer:
        if model.logit_product is not None:
            raise UsageError(
                "engine: this model's weights were packed by another engine; build it of the model that was loaded"
            )
        twin = model.twin()
        self.packing = pack(twin, self.setup.weights)  # also tells which matrices did not fit the format
        for module in twin.modules() if self.setup.deterministic else ():
            if isinstance(module, Experts):
                module.fix_shapes()
        return twin

    def _submit(self, request: Request, *, follows: Live | None) -> int:
        self._admission.check(request, "the prompt")
        number, self._next_number = self._next_number, self._next_number + 1
        live = self._begun(request, number)
        self._live[number] = live
        if follows is None or follows.finish is not None or follows.ids:
            self.scheduler.submit(live.running)
        else:
            follows.followers.append(live)
        return number

    def _begun(self, request: Request, number: int) -> Live:
        sampling = request.sampling
        stops = StopStrings(sampling.stop, self.token_bytes or ()) if sampling.stop else None
        running = Running(
            number,
            list(request.prompt),
            len(request.prompt),
            sampling.max_tokens,
            priority=request.priority,
            deadline=request.deadline,
            salt=request.salt,
            fresh_from=None if request.scores_from is None else request.scores_from - 1,
        )
        speculator = self.speculation.open() if self.speculation and request.guide is None and sampling.max_tokens > 1 else None
        seed = sampling.seed if request.seed is None else request.seed
        return Live(request, running, seed, self.stop_ids, stops, speculator)

    def _end_early(self) -> list[Live]:
        """Requests that were aborted or are late, ended."""
        ended = []
        while self._aborted:
            live = self._live.get(self._aborted.popleft())
            if live is not None and live.finish is None:
                live.end("aborted")
                ended.append(live)
        now = self._clock()
        for live in self._live.values():
            if live.finish is None and live.running.is_late(now):
                live.end("deadline")
                ended.append(live)
        return ended

    def _guess(self) -> list[Live]:
        """Ask for guesses of what the requests that decode say next; those whose drafter proposed what is no guess, ended."""
        if self.speculation is None:
            return []
        ended = []
        decoding = [request for request in self.scheduler.running if request.is_decoding]
        for request in decoding:
            live = self._live[request.number]
            left = request.max_tokens - len(live.ids) - 1  # one token comes without a guess
            if live.speculator is None or left < 1:
                continue
            try:
                request.draft = live.speculator.propose(request.tokens, min(left, _DRAFTED), rows=len(decoding))
            except DataError as fault:
                live.end("error", str(fault))
                ended.append(live)
        return ended

    def _advance(self, parts: list[Part]) -> list[Told]:
        """Compute what is planned; if there is no memory for all of it at once, one request after the other."""
        try:
            found = findings(parts, self._passed(parts))
        except (MemoryError, RuntimeError) as fault:
            if not _is_shortage(fault):
                raise
            if len(parts) > 1:
                return [told for part in parts for told in self._advance([part])]
            ((live, chunk),) = parts
            reason = " ".join(str(fault).split())[:200]
            live.end("error", f"out of memory for {chunk.num_tokens} tokens: {reason}")
            return [self._ended(live)]
        told = [self._told(part, one) for part, one in zip(parts, found, strict=True)]
        return [one for one in told if one is not None]

    def _passed(self, parts: list[Part]) -> Passed:
        says = all(chunk.completes and live.request.scores_from is None for live, chunk in parts)
        return self.forward.step([Piece(chunk.ids, chunk.start, chunk.request.blocks) for _, chunk in parts], only_logits=says)

    def _told(self, part: Part, found: Finding) -> Told | None:
        """What the pass means to a request; None where its prompt has not been read to the end."""
        live, chunk = part
        if not found.is_sound:  # nor may anybody find what is in the pages
            live.end("error", f"the model's logits are not finite after {len(live.ids)} tokens")
            return self._ended(live)
        live.prompt_logprobs.update(found.scores)
        live.num_cached = chunk.request.num_cached
        self.scheduler.computed(chunk)
        return self._say(live, found.drawn) if chunk.completes else None

    def _say(self, live: Live, drawn: list[Draw]) -> Told:
        """Let a request say what was drawn, as far as its guesses were right."""
        request, before = live.running, len(live.ids)
        draft = list(request.draft)
        agreed = num_agreed(draft, [one.id for one in drawn])
        for one in drawn[: agreed + 1]:
            if one.fault:
                live.end("error", f"{one.fault} after {len(live.ids)} tokens")
                break
            live.say(one.id, one.logprob, one.top)
            if live.finish is not None:
                break
        said = live.ids[before:]
        if not drawn:
            live.end("length")
        if said:
            self.scheduler.said(request, *said)
        if draft and live.speculator is not None:
            live.num_drafted += len(draft)
            live.num_accepted += min(agreed, len(said))  # guesses past the end were never said
            live.speculator.told(len(draft), agreed)
        self._start_followers(live)
        told = Told(request.number, tuple(said), tuple(live.logprobs[before:]), tuple(live.top[before:]), live.finish)
        if live.finish is not None:
            self._ended(live)
        return told

    def _ended(self, live: Live) -> Told:
        """The one way out of a request: blocks, guesses and place given back, and what it got kept until it is taken."""
        number = live.running.number
        self.scheduler.drop(live.running)
        if live.speculator is not None:
            live.speculator.close()
        del self._live[number]
        self._done[number] = live.generated()
        self._start_followers(live)
        return Told(number, (), (), (), live.finish)

    def _start_followers(self, live: Live) -> None:
        for follower in live.followers:
            if follower.finish is None:
                self.scheduler.submit(follower.running)
        live.followers.clear()

    def _speculating(self, open_drafter: OpenDrafter, costs: StepCosts | None) -> Speculation:
        costs = costs or StepCosts.measured(self._timed_step, open_drafter)
        return Speculation(open_drafter, costs, vocab_size=self.model.config.vocab_size)

    @torch.inference_mode()
    def _timed_step(self, num_tokens: int) -> None:
        """A pass over so many tokens of no request, as a step that decodes them would make it."""
        pieces = [Piece([self.pad_id], 0, [self.store.spare]) for _ in range(num_tokens)]
        self.forward.step(pieces, only_logits=True).logits(list(range(num_tokens))).argmax(dim=-1).tolist()


def _seeded(request: Request, copy: int) -> Request:
    seed = request.sampling.seed if request.seed is None else request.seed
    return replace(request, seed=Seed(seed).child(str(copy)).number)


def _is_shortage(fault: BaseException) -> bool:
    """Whether there was no memory. On a CPU torch says so in words only."""
    return isinstance(fault, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(fault)
