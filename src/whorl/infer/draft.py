"""infer/draft: guesses of the next tokens of a request, cheap enough that checking many in one step may save steps.

A guess is never trusted: the engine draws every token as it would have without one (a draw is a function of the request's seed
and of how many tokens it has said) and keeps guesses only as far as they equal what was drawn. So ids are the same with every
drafter and with none. `PromptLookup` copies what followed the newest tokens when they last occurred, https://arxiv.org/abs/2304.04487
and https://github.com/apoorvumang/prompt-lookup-decoding; for a small model that guesses see infer/draft_model, for when
guessing is worth its time infer/pays. Does not run the model that checks.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from whorl.core.errors import DataError, UsageError

__all__ = ["Drafter", "OpenDrafter", "PromptLookup", "checked", "num_agreed"]


@runtime_checkable  # arguments are checked at run time in tests
class Drafter(Protocol):
    """What guesses for one request. Its tokens only ever grow."""

    def propose(self, tokens: Sequence[int], limit: int) -> list[int]:
        """At most `limit` guesses of what follows all the request's tokens so far, the best first; none is fine."""
        ...

    def told(self, num_drafted: int, num_accepted: int) -> None:
        """How many of the latest proposal were checked, and how many of these were right."""
        ...

    def close(self) -> None:
        """The request is over, whichever way: give back what was held for it. Called once."""
        ...


OpenDrafter = Callable[[], Drafter]  # a drafter for a new request


def num_agreed(drafted: Sequence[int], drawn: Sequence[int]) -> int:
    """How many guesses stand: those before the first that differs from what was drawn in its place."""
    agreed = 0
    while agreed < min(len(drafted), len(drawn)) and drafted[agreed] == drawn[agreed]:
        agreed += 1
    return agreed


def checked(proposal: Sequence[int], limit: int, *, vocab_size: int) -> list[int]:
    """The proposal, if it is one. Raises DataError for too many guesses or ids that the model does not have."""
    if len(proposal) > limit:
        raise DataError(f"a drafter proposed {len(proposal)} tokens; want at most the {limit} it was asked for")
    strange = next((token for token in proposal if not 0 <= token < vocab_size), None)
    if strange is not None:
        raise DataError(
            f"a drafter proposed id {strange}; want ids from 0 to {vocab_size - 1}, those of the model it drafts for"
        )
    return list(proposal)


class PromptLookup:
    """Copies on from the latest earlier place where the newest `longest` tokens stood, or else fewer, down to `shortest`.

    A copy that reaches the end goes on reading what it has copied, so a loop is continued as a loop. Each token is looked at
    once, a request's prompt at its first proposal (about 1 us per token and length); memory is one entry for each of them.
    """

    def __init__(self, *, longest: int = 3, shortest: int = 1) -> None:
        if not 1 <= shortest <= longest:
            raise UsageError(f"prompt lookup: shortest={shortest}, longest={longest}; want 1 <= shortest <= longest")
        self._after: dict[int, dict[tuple[int, ...], int]] = {size: {} for size in range(longest, shortest - 1, -1)}
        self._num_known = 0  # tokens whose n-grams have been entered: all that end before the newest token

    def propose(self, tokens: Sequence[int], limit: int) -> list[int]:
        """The copy, `limit` tokens long; nothing where even the shortest run is new."""
        assert len(tokens) >= self._num_known, "a request's tokens only ever grow"
        self._enter(tokens)
        start = self._last_place(tokens)
        if start is None:
            return []
        period = len(tokens) - start
        return [tokens[start + place % period] for place in range(limit)]

    def told(self, num_drafted: int, num_accepted: int) -> None:
        """A copy does not change with its luck."""

    def close(self) -> None:
        """Nothing is held outside this object."""

    def _enter(self, tokens: Sequence[int]) -> None:
        """Note where each n-gram was last followed by something."""
        for end in range(self._num_known + 1, len(tokens)):
            for size, after in self._after.items():
                if end >= size:
                    after[tuple(tokens[end - size : end])] = end
        self._num_known = max(len(tokens) - 1, 0)

    def _last_place(self, tokens: Sequence[int]) -> int | None:
        """Where to copy from: just after the latest earlier occurrence of the longest known end."""
        for size, after in self._after.items():
            if len(tokens) > size and (place := after.get(tuple(tokens[-size:]))) is not None:
                return place
        return None
