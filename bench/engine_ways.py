"""bench/engine_ways: the same requests through an engine by different ways, and what must not differ between them.

Alone, eight at once, with prompts found in the cache, read in small pieces, preempted and computed again, with guesses: ids
are the same, log-probabilities up to the order of sums; to the bit in deterministic mode. A way that did not happen (nothing
was found, preempted or guessed) shows nothing and counts as a fault.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from whorl.infer.draft import PromptLookup
from whorl.infer.engine import Engine, Generated, Request, Sampling, Setup
from whorl.infer.pays import StepCosts
from whorl.model.transformer import Transformer

__all__ = ["WAYS", "Apart", "Said", "apart", "said_by"]

BLOCK, EIGHT = 8, 8
# Guessing always seems to pay: a step costs the same whatever is in it.
_FREE = StepCosts((1, 64), (1.0, 1.0))


class Way(NamedTuple):
    """A setup, and whether guesses are made and prompts are known beforehand."""

    setup: Mapping[str, object]
    guesses: bool = False
    warms: bool = False


class Said(NamedTuple):
    """What the requests got by one way, and how often what the way is about happened."""

    answers: tuple[Generated, ...]
    happened: int


class Apart(NamedTuple):
    """How far two ways are from each other."""

    num_other_ids: int  # answers with other ids
    logprob: float  # the largest difference of log-probabilities, over equal answers
    num_other_bits: int  # answers whose log-probabilities are not the same numbers


WAYS: Mapping[str, Way] = {
    "alone": Way({"rows": 1, "reuses": False}),
    "eight": Way({"rows": EIGHT, "reuses": False}),
    "cached": Way({"rows": EIGHT, "block_size": BLOCK}, warms=True),
    "chunked": Way({"rows": EIGHT, "reuses": False, "step_tokens": EIGHT + 4}),
    "preempted": Way({"rows": EIGHT, "reuses": False, "block_size": BLOCK, "cache_tokens": 0}),  # see _preempting
    "speculative": Way({"rows": EIGHT, "reuses": False}, guesses=True),
}


def said_by(
    way: str, model: Transformer, prompts: Sequence[Sequence[int]], sampling: Sampling, *, deterministic: bool = False
) -> Said:
    """Answers to the prompts by one way; nothing but their length ends them."""
    chosen = WAYS[way]
    setup = {**chosen.setup, "deterministic": deterministic}
    if "cache_tokens" in setup:
        setup["cache_tokens"] = _preempting(prompts, sampling)
    engine = Engine(
        model,
        stop_ids=(),
        pad_id=2,
        setup=Setup.model_validate(setup),
        open_drafter=PromptLookup if chosen.guesses else None,
        costs=_FREE if chosen.guesses else None,
    )
    if chosen.warms:
        engine.generate(prompts, Sampling(1))
    numbers = [engine.submit(Request(prompt, sampling)) for prompt in prompts]
    pieces, preempted = 0, dict.fromkeys(numbers, 0)
    while not engine.is_idle:
        engine.step()
        pieces += sum(0 < request.num_computed < request.num_prompt for request in engine.scheduler.running)
        preempted |= {request.number: request.num_preemptions for request in engine.scheduler.running}
    engine.check()
    answers = tuple(engine.take(number) for number in numbers)
    happened = {
        "cached": sum(one.num_cached for one in answers),
        "chunked": pieces,
        "preempted": sum(preempted.values()),
        "speculative": sum(one.num_accepted for one in answers),
    }
    return Said(answers, happened.get(way, len(answers)))


def apart(one: Sequence[Generated], other: Sequence[Generated]) -> Apart:
    """Answers compared one by one."""
    same = [(a.logprobs, b.logprobs) for a, b in zip(one, other, strict=True) if a.ids == b.ids]
    furthest = max((float(np.abs(np.subtract(a, b)).max()) for a, b in same if a), default=0.0)
    return Apart(len(one) - len(same), furthest, sum(a != b for a, b in same) + len(one) - len(same))


def _preempting(prompts: Sequence[Sequence[int]], sampling: Sampling) -> int:
    """Room for three of the longest requests, where eight begin."""
    return 3 * (max(map(len, prompts)) + sampling.max_tokens + BLOCK)
