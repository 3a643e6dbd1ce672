"""infer/pays: how many tokens are worth guessing for a request now, from how often guesses were right and what checking costs.

A step that checks k guesses takes longer than one that checks none: on a GPU hardly, on a CPU soon k times as long. What a
step of n tokens costs is measured once, when an engine is built, and pinned; how often guesses are right is learnt per request
(a Beta estimate that forgets slowly). Guessing stops where it is expected to lose time and is tried again now and then, more
and more rarely while it keeps losing. Decides about time only, never about ids. https://arxiv.org/abs/2211.17192, section 3
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from whorl.infer.draft import Drafter, OpenDrafter, checked

__all__ = ["Luck", "Speculation", "Speculator", "StepCosts", "best_length"]

SIZES = (1, 2, 3, 5, 9, 16)  # tokens of the steps that are timed
ROUNDS = 5  # the fastest of so many: what else the machine does at that moment is no part of a step
WARM_TOKENS = 32  # a drafter is timed on a request of this many
MARGIN = 1.02  # a plan must promise so much: costs are measured to a few percent
PRIOR = (2.0, 0.25)  # right and wrong guesses before any was made: hopeful, so that a request tries, and soon refuted
MEMORY = 64.0  # guesses; older ones fade, because a text changes
LONGEST = SIZES[-1] - 1  # guesses at once: what a step of more tokens costs was not measured
FIRST_LENGTH = 2  # guesses of a try; as many again with every proposal that was all right: a try that fails costs little
FIRST_WAIT, LONGEST_WAIT = 16, 256  # tokens said without guessing before another try; doubles with each try that loses


@dataclass(frozen=True)
class StepCosts:
    """Time of a step by its number of tokens, and of one guess, as multiples of the time of a step of one token."""

    sizes: tuple[int, ...]  # rising, the first is 1
    ratios: tuple[float, ...]  # the first is 1
    draft: float = 0.0

    def __post_init__(self) -> None:
        assert len(self.sizes) == len(self.ratios) >= 2, f"{self}: want a ratio for each of at least two sizes"
        assert self.sizes[0] == 1, f"{self}: want sizes from 1"
        assert list(self.sizes) == sorted(set(self.sizes)), f"{self}: want rising sizes"
        assert min(self.ratios) > 0 <= self.draft, f"{self}: want positive times"

    @classmethod
    def measured(cls, step: Callable[[int], None], open_drafter: OpenDrafter) -> "StepCosts":
        """The fastest of some runs of `step`, given a number of tokens, and of a drafter. Larger never counts as cheaper."""
        seconds = [_seconds(partial(step, size)) for size in SIZES]
        rising = [max(seconds[: place + 1]) for place in range(len(seconds))]
        draft = _draft_seconds(open_drafter)
        return cls(SIZES, tuple(one / rising[0] for one in rising), draft / rising[0])

    def of(self, num_tokens: int) -> float:
        """What a step of so many tokens costs: straight lines between what was measured, and on beyond it."""
        place = min(max(bisect_left(self.sizes, num_tokens), 1), len(self.sizes) - 1)
        (left, right), (low, high) = self.sizes[place - 1 : place + 1], self.ratios[place - 1 : place + 1]
        return low + (high - low) * (num_tokens - left) / (right - left)


@dataclass
class Luck:
    """How often guesses of a request are right: Beta(right, wrong), each guess on its own."""

    right: float = PRIOR[0]
    wrong: float = PRIOR[1]

    def told(self, num_drafted: int, num_accepted: int) -> None:
        """Guesses after the first wrong one were never really tried."""
        assert 0 <= num_accepted <= num_drafted, f"{num_accepted} of {num_drafted} guesses cannot be right"
        fade = min(1.0, MEMORY / (self.right + self.wrong))
        self.right = self.right * fade + num_accepted
        self.wrong = self.wrong * fade + (num_accepted < num_drafted)

    def expected(self, length: int) -> list[float]:
        """Expected number of right guesses among the first 0, 1, ... `length`: the first j are all right with E[p^j]."""
        total, all_right = [0.0], 1.0
        for place in range(length):
            all_right *= (self.right + place) / (self.right + self.wrong + place)
            total.append(total[-1] + all_right)
        return total


def best_length(costs: StepCosts, gains: Sequence[float], *, rows: int = 1) -> int:
    """How many guesses make tokens come fastest, if j guesses are expected to add gains[j] tokens. 0: guessing loses.

    `rows` requests share the step and are taken to guess alike: guesses that are free for one of them are not for all.
    """
    best, length = costs.of(rows) / MARGIN, 0  # per token and row
    for guesses in range(1, len(gains)):
        cost = (costs.of(rows * (1 + guesses)) + rows * guesses * costs.draft) / (1 + gains[guesses])
        if cost < best:
            best, length = cost, guesses
    return length


class Speculation:
    """Drafters for the requests of one engine, each asked only when it pays."""

    def __init__(self, open_drafter: OpenDrafter, costs: StepCosts, *, vocab_size: int) -> None:
        self.open_drafter, self.costs, self.vocab_size = open_drafter, costs, vocab_size

    def open(self) -> "Speculator":
        """For a new request."""
        return Speculator(self.open_drafter(), self.costs, vocab_size=self.vocab_size)


class Speculator:
    """A drafter that is asked only for as many tokens as pay, and checked."""

    def __init__(self, drafter: Drafter, costs: StepCosts, *, vocab_size: int) -> None:
        self.drafter, self.costs, self.vocab_size = drafter, costs, vocab_size
        self.luck = Luck()
        self._most, self._wait, self._waited = FIRST_LENGTH, FIRST_WAIT, 0

    def propose(self, tokens: Sequence[int], limit: int, *, rows: int = 1) -> list[int]:
        """At most `limit` guesses; none where they would cost more than they bring. `rows`: requests that share the step.

        Raises DataError for a drafter that proposes more than it was asked for, or ids that the model does not have.
        """
        limit = min(limit, self._most)
        length = best_length(self.costs, self.luck.expected(limit), rows=rows) or self._another_try(limit, rows)
        if not length:
            return []
        return checked(self.drafter.propose(tokens, length), length, vocab_size=self.vocab_size)

    def told(self, num_drafted: int, num_accepted: int) -> None:
        """How many of the latest guesses were checked and how many were right."""
        if not num_drafted:
            return
        self.luck.told(num_drafted, num_accepted)
        self.drafter.told(num_drafted, num_accepted)
        if num_accepted == num_drafted:
            self._most, self._wait = min(2 * self._most, LONGEST), FIRST_WAIT
        elif not num_accepted:
            self._most = FIRST_LENGTH

    def close(self) -> None:
        """The request is over."""
        self.drafter.close()

    def _another_try(self, limit: int, rows: int) -> int:
        """Guesses for a try after a while without: as many as would pay if hope were right. 0: not now."""
        self._waited += 1
        if self._waited < self._wait:
            return 0
        self._wait, self._waited = min(2 * self._wait, LONGEST_WAIT), 0
        self.luck, self._most = Luck(), FIRST_LENGTH
        return best_length(self.costs, self.luck.expected(limit), rows=rows)


def _draft_seconds(open_drafter: OpenDrafter) -> float:
    """Time of one guess in the middle of a request."""
    drafter = open_drafter()
    tokens = [0] * WARM_TOKENS

    def guess() -> None:
        tokens.append(0)
        drafter.propose(tokens, 1)

    try:
        return _seconds(guess)
    finally:
        drafter.close()


def _seconds(act: Callable[[], None]) -> float:
    """Shortest time of an act, after one that is not counted."""
    taken = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return min(taken[1:])
