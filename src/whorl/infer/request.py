"""infer/request: what is asked of the engine and what it gives back: ids in, ids and log-probabilities out.

Does not know text beyond stop strings, and runs nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from whorl.core.errors import UsageError
from whorl.infer.guide import Guide
from whorl.infer.pool import SALT

__all__ = ["Alternatives", "Finish", "Generated", "Request", "Sampling", "Told"]

# stop: a stop id, a stop string, or a structure that is complete; length: max_tokens were said; aborted: the caller wanted no
# more; deadline: it passed; error: this request could not go on, and says why.
Finish = Literal["stop", "length", "aborted", "deadline", "error"]
Alternatives = tuple[tuple[int, float], ...]  # the likeliest ids of one place with their log-probabilities, best first


@dataclass(frozen=True)
class Sampling:
    """How answers are decoded. Raises UsageError for settings that mean nothing."""

    max_tokens: int  # 0: nothing is said; for requests that only score
    temperature: float = 0.0  # 0: greedy
    top_k: int | None = None  # draw from this many most likely tokens
    top_p: float = 1.0  # draw from the fewest tokens that hold this much probability, https://arxiv.org/abs/1904.09751
    min_p: float = 0.0  # draw from tokens at least this likely as the likeliest, https://arxiv.org/abs/2407.01082
    repetition_penalty: float = (
        1.0  # divides positive logits of tokens seen so far, prompt included; https://arxiv.org/abs/1909.05858
    )
    presence_penalty: float = 0.0  # taken off the logit of every token said before
    frequency_penalty: float = 0.0  # taken off it once for each time it was said
    logit_bias: Mapping[int, float] = field(default_factory=dict)  # added to the logits of these tokens; -inf forbids one
    stop: tuple[str, ...] = ()  # texts that end an answer, wherever tokens are cut
    logprobs: int = 0  # how many of the likeliest ids to tell besides the one that was said
    among: tuple[int, ...] = ()  # tell of these ids instead, as they are listed: what given answers would have been worth
    seed: int = 0  # of the draws of all requests that bring no seed of their own

    def __post_init__(self) -> None:
        finite = all(np.isfinite(value) for value in (self.presence_penalty, self.frequency_penalty))
        wrong = [
            f"{name}={value}; want {want}"
            for name, value, want, is_right in (
                ("max_tokens", self.max_tokens, "0 (say nothing) or more", self.max_tokens >= 0),
                ("temperature", self.temperature, "0 (greedy) or more", 0 <= self.temperature < float("inf")),
                ("top_k", self.top_k, "at least 1, or None", self.top_k is None or self.top_k >= 1),
                ("top_p", self.top_p, "more than 0, at most 1", 0 < self.top_p <= 1),
                ("min_p", self.min_p, "0 or more, less than 1", 0 <= self.min_p < 1),
                ("repetition_penalty", self.repetition_penalty, "more than 0", 0 < self.repetition_penalty < float("inf")),
                ("presence_penalty and frequency_penalty", "", "finite numbers", finite),
                ("logit_bias", "", "numbers below infinity", all(value < float("inf") for value in self.logit_bias.values())),
                ("logprobs", self.logprobs, "0 or more", self.logprobs >= 0),
            )
            if not is_right
        ]
        if wrong:
            raise UsageError(f"sampling: {'; '.join(wrong)}")

    @property
    def is_greedy(self) -> bool:
        """Whether nothing is drawn."""
        return self.temperature == 0

    @property
    def is_plain(self) -> bool:
        """Whether logits are taken as the model gives them."""
        return not (self.logit_bias or self.presence_penalty or self.frequency_penalty or self.repetition_penalty != 1)


@dataclass(frozen=True)
class Request:
    """One prompt and what to do with it."""

    prompt: Sequence[int]
    sampling: Sampling
    seed: int | None = None  # of its draws; None: the sampling's
    priority: int = 0  # lower goes first
    deadline: float | None = None  # on the engine's clock, seconds; past it the request ends with what it has said
    salt: bytes = SALT  # requests of other salts never share keys and values: one for each tenant
    guide: Guide | None = None  # of this request alone
    scores_from: int | None = None  # tell the log-probability of each token of the prompt from this place on; 1 or more


@dataclass(frozen=True)
class Generated:
    """What one request got. The stop token, when there is one, is the last of `ids`."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]  # nats, of each id under the model itself (temperature 1, nothing cut off)
    finish: Finish
    error: str = ""  # why it could not go on
    top: tuple[Alternatives, ...] = ()  # for each id, if the sampling asked
    prompt_logprobs: tuple[float, ...] = ()  # nats, of the prompt's tokens from `scores_from` on, if the request asked
    num_cached: int = field(default=0, compare=False)  # tokens of the prompt that were found computed
    num_drafted: int = field(default=0, compare=False)  # guesses that were checked
    num_accepted: int = field(default=0, compare=False)  # of these, right


class Told(NamedTuple):
    """What a step adds to one request."""

    number: int
    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    top: tuple[Alternatives, ...]
    finish: Finish | None  # None: it goes on
