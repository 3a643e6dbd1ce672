"""infer/labels: how a model divides its belief among given answers: a distribution for each prompt, and no text.

A prompt is computed once for all its answers. What the first tokens of the answers are worth is read where the prompt ends; the
rest of the longer ones is read behind the prompt's own keys and values. Does not know text: a label is the ids it is said with.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from whorl.core.errors import DataError, ResourceError, UsageError
from whorl.infer.engine import Engine
from whorl.infer.request import Generated, Request, Sampling

__all__ = ["Labels", "Normalise", "answer_nats", "distributions"]

# What is compared: none: the log-probability of the whole answer; tokens, bytes: its mean over the answer's tokens, or over the
# bytes they spell, so that long answers are not at a disadvantage.
Normalise = Literal["none", "tokens", "bytes"]


class Labels(NamedTuple):
    """A prompt and the answers it is given."""

    prompt: Sequence[int]
    answers: Sequence[Sequence[int]]


def distributions(engine: Engine, asked: Sequence[Labels], *, normalise: Normalise = "none") -> list[Float[np.ndarray, " n"]]:
    """Probabilities of the answers to each prompt, in their order: float64, summing to one.

    Raises what `answer_nats` raises, and UsageError for bytes where the engine does not know what its ids spell, or an answer
    spells none.
    """
    found = []
    for labels, nats in zip(asked, answer_nats(engine, asked), strict=True):
        scores = nats / [_size(engine, answer, normalise) for answer in labels.answers]
        weights = np.exp(scores - scores.max())
        found.append(weights / weights.sum())
    return found


def answer_nats(engine: Engine, asked: Sequence[Labels]) -> list[Float[np.ndarray, " n"]]:
    """Log-probability of each whole answer after its prompt, float64 nats.

    Raises DataError for a prompt or an answer that is empty, holds unknown ids or does not fit the context, UsageError for a
    prompt without answers and a model that is not causal, ResourceError when the model's figures are not finite.
    """
    for number, labels in enumerate(asked):
        _check(engine, labels, number)
    found: list[np.ndarray] = []
    for group in _groups(asked, max_tokens=engine.pool.num_blocks * engine.pool.block_size // 2):
        firsts = _first_nats(engine, group)
        rests = _rest_nats(engine, group)
        found += [first + rest for first, rest in zip(firsts, rests, strict=True)]
    return found


def _first_nats(engine: Engine, group: Sequence[Labels]) -> list[np.ndarray]:
    """Of the first token of each answer, told at the prompt's end."""
    numbers = [engine.submit(Request(labels.prompt, Sampling(1, among=_firsts(labels)))) for labels in group]
    told = [dict(_sound(said).top[0]) for said in engine.finish(numbers)]
    return [np.array([known[answer[0]] for answer in labels.answers]) for labels, known in zip(group, told, strict=True)]


def _rest_nats(engine: Engine, group: Sequence[Labels]) -> list[np.ndarray]:
    """Of the other tokens of each answer, read behind the prompt, which is found computed."""
    rests = [np.zeros(len(labels.answers)) for labels in group]
    places = [
        (row, column) for row, labels in enumerate(group) for column, answer in enumerate(labels.answers) if len(answer) > 1
    ]
    numbers = []
    for row, column in places:
        prompt, answers = group[row]
        whole = [*prompt, *answers[column]]
        numbers.append(engine.submit(Request(whole, Sampling(0), scores_from=len(prompt) + 1)))
    for (row, column), said in zip(places, engine.finish(numbers), strict=True):
        rests[row][column] = sum(_sound(said).prompt_logprobs)
    return rests


def _firsts(labels: Labels) -> tuple[int, ...]:
    return tuple(dict.fromkeys(answer[0] for answer in labels.answers))


def _sound(said: Generated) -> Generated:
    if said.finish == "error":
        raise ResourceError(f"answers cannot be weighed: {said.error}; are the weights whole? try dtype fp32")
    return said


def _groups(asked: Sequence[Labels], *, max_tokens: int) -> Iterator[Sequence[Labels]]:
    """Prompts whose keys and values stay in the cache until their answers are read."""
    begin, room = 0, max_tokens
    for number, labels in enumerate(asked):
        if number > begin and len(labels.prompt) > room:
            yield asked[begin:number]
            begin, room = number, max_tokens
        room -= len(labels.prompt)
    if begin < len(asked):
        yield asked[begin:]


def _size(engine: Engine, answer: Sequence[int], normalise: Normalise) -> int:
    """What the log-probability of an answer is divided by."""
    if normalise == "none":
        return 1
    if normalise == "tokens":
        return len(answer)
    if engine.token_bytes is None:
        raise UsageError("normalise='bytes': this engine was not told what its ids spell; want 'tokens' or 'none'")
    num_bytes = sum(len(engine.token_bytes[token]) for token in answer)
    if not num_bytes:
        raise UsageError(f"normalise='bytes': the answer {list(answer)} spells no bytes; want 'tokens' or 'none'")
    return num_bytes


def _check(engine: Engine, labels: Labels, number: int) -> None:
    context = engine.model.config.max_positions
    if not labels.answers:
        raise UsageError(f"prompt {number} has no answers to choose from; want at least one")
    if not len(labels.prompt) or not all(len(answer) for answer in labels.answers):
        raise DataError(f"prompt {number} or one of its answers is empty; want at least one token each")
    longest = max(map(len, labels.answers))
    if len(labels.prompt) + longest > context:
        raise DataError(
            f"prompt {number} has {len(labels.prompt)} tokens and its longest answer {longest}; the model's context is "
            f"{context}; shorten it"
        )
    size = engine.model.config.vocab_size
    strange = [token for ids in (labels.prompt, *labels.answers) for token in (min(ids), max(ids)) if not 0 <= token < size]
    if strange:
        raise DataError(f"prompt {number} or one of its answers holds id {strange[0]}; want ids from 0 to {size - 1}")
