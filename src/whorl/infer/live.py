"""infer/live: a request while it is answered: what it has said, and how each new token changes what may come next.

Does not run the model and does not own blocks: the engine and the scheduler do.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from whorl.core.errors import WhorlError
from whorl.infer.pays import Speculator
from whorl.infer.request import Alternatives, Finish, Generated, Request
from whorl.infer.sampler import Past, adjust
from whorl.infer.scheduler import Running
from whorl.infer.stops import StopStrings

__all__ = ["Live"]


@dataclass(eq=False)
class Live:
    """One request on its way."""

    request: Request
    running: Running
    seed: int
    stop_ids: frozenset[int]
    stops: StopStrings | None = None
    speculator: Speculator | None = None
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    top: list[Alternatives] = field(default_factory=list)
    prompt_logprobs: dict[int, float] = field(default_factory=dict)  # by place
    finish: Finish | None = None
    error: str = ""
    num_cached: int = 0
    num_drafted: int = 0
    num_accepted: int = 0
    followers: list["Live"] = field(default_factory=list)  # start once this one's prompt is computed, and find it there
    _seen: frozenset[int] = frozenset()
    _said: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._seen = frozenset(self.request.prompt) if self.request.sampling.repetition_penalty != 1 else frozenset()

    def adjusted(self, logits: Float[Tensor, " v"], *, guessed: Sequence[int] = ()) -> Float[Tensor, " v"]:
        """Logits of the token after these guesses with penalties, biases and the structure applied; a copy where they change.

        Raises an error of the house when nothing may be said.
        """
        sampling, guide = self.request.sampling, self.request.guide
        if sampling.is_plain and guide is None:
            return logits
        logits = logits.clone()
        adjust(logits, sampling, Past(self._seen, self._said + Counter(guessed) if guessed else self._said))
        allowed = None if guide is None else guide.allowed()
        if allowed is not None:
            logits[~torch.from_numpy(allowed).to(logits.device)] = float("-inf")
        return logits

    def say(self, token: int, logprob: float, top: Alternatives) -> None:
        """Take one more token, and end if it ends the answer."""
        self.ids.append(token)
        self.logprobs.append(logprob)
        if self.request.sampling.logprobs or self.request.sampling.among:
            self.top.append(top)
        if not self.request.sampling.is_plain:
            self._said[token] += 1
        self.finish = self._ended_by(token)

    def end(self, finish: Finish, error: str = "") -> None:
        """It goes no further."""
        self.finish, self.error = finish, error

    def generated(self) -> Generated:
        """What the caller gets."""
        scored = tuple(self.prompt_logprobs[place] for place in sorted(self.prompt_logprobs))
        assert self.finish is not None, "asked for while it was under way"
        return Generated(
            tuple(self.ids),
            tuple(self.logprobs),
            self.finish,
            self.error,
            tuple(self.top),
            scored,
            self.num_cached,
            self.num_drafted,
            self.num_accepted,
        )

    def _ended_by(self, token: int) -> Finish | None:
        guide = self.request.guide
        if token in self.stop_ids:
            return "stop"
        if guide is not None:
            try:
                guide.accept(token)
            except WhorlError as fault:
                self.error = str(fault)
                return "error"
            if guide.is_finished:
                return "stop"
        if self.stops is not None and self.stops.feed(token):
            return "stop"
        return "length" if len(self.ids) >= self.request.sampling.max_tokens else None
