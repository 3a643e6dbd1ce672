"""infer/findings: what the pass of a step found for each request in it: scores of its prompt, its next tokens, their soundness.

What may fail for want of memory fails here; no request is changed.
"""

from collections.abc import Sequence
from itertools import accumulate, islice
from typing import NamedTuple

from whorl.infer.draw import Draw, Place, draw
from whorl.infer.forward import Passed
from whorl.infer.live import Live
from whorl.infer.scheduler import Chunk

__all__ = ["Finding", "Part", "findings"]


class Part(NamedTuple):
    """What a step computes of one request."""

    live: Live
    chunk: Chunk

    @property
    def scored(self) -> range:
        """Places of the prompt's tokens whose log-probabilities are wanted and follow from what is computed."""
        request, (_, start, end) = self.live.request, self.chunk
        if request.scores_from is None:
            return range(0)
        return range(max(request.scores_from, start + 1), min(len(request.prompt), end + 1))

    @property
    def wanted(self) -> list[Place]:
        """Before the tokens to draw: after each guess that is checked, as after none; all follow the newest tokens computed."""
        running = self.live.running
        if not self.chunk.completes or not running.max_tokens:
            return []
        return [Place(self.live, running.draft[:guesses]) for guesses in range(len(running.draft) + 1)]


class Finding(NamedTuple):
    """What a pass found for one request."""

    scores: dict[int, float]  # nats of tokens of the prompt, by place
    drawn: list[Draw]  # the token after each number of guesses, from none on
    is_sound: bool  # guesses apart: what its own tokens left in the pages are numbers


def findings(parts: Sequence[Part], passed: Passed) -> list[Finding]:
    """For each part of the step that has passed."""
    ends = list(accumulate(chunk.num_tokens for _, chunk in parts))
    scores = [_scores(part, passed, end) for part, end in zip(parts, ends, strict=True)]
    wanted = [part.wanted for part in parts]
    rows = [row for own, end in zip(wanted, ends, strict=True) for row in range(end - len(own), end)]
    drawn = iter(draw([place for own in wanted for place in own], passed.logits(rows)) if rows else ())
    is_finite = passed.finite()
    found = []
    for (_, chunk), end, scored, own in zip(parts, ends, scores, wanted, strict=True):
        is_sound = all(is_finite[end - chunk.num_tokens : end - chunk.num_guessed])
        found.append(Finding(scored, list(islice(drawn, len(own))), is_sound))
    return found


def _scores(part: Part, passed: Passed, end: int) -> dict[int, float]:
    """`end`: of the part's tokens, among all that have passed."""
    places = part.scored
    if not places:
        return {}
    first = end - part.chunk.end + places.start - 1
    nats = passed.scores(first, part.chunk.request.tokens[places.start : places.stop])
    return dict(zip(places, nats, strict=True))
