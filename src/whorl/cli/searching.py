"""cli/searching: the likeliest answers instead of drawn ones: which other options go with --beams, and what it finds.

Searches nothing itself (infer/beam does) and imports nothing heavy.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from whorl.cli.options import Drawing
from whorl.cli.speaking import Asked, Speaker
from whorl.core.door import load
from whorl.core.errors import DataError, ResourceError, UsageError

if TYPE_CHECKING:
    from whorl.core.records import Completion

__all__ = ["Found", "Search", "found", "search"]

_NOT_DRAWN = "nothing is drawn"
_OWN = "answers are ranked by the model's own probabilities"
_NO_STRUCTURE = "a search is held to no structure"
_STRANGE: Mapping[str, tuple[str, str]] = {  # fields of Drawing: the option, and why it means nothing in a search
    "temperature": ("--temperature", _NOT_DRAWN),
    "top_k": ("--top-k", _NOT_DRAWN),
    "top_p": ("--top-p", _NOT_DRAWN),
    "min_p": ("--min-p", _NOT_DRAWN),
    "seed": ("--seed", _NOT_DRAWN),
    "repetition_penalty": ("--repetition-penalty", _OWN),
    "presence_penalty": ("--presence-penalty", _OWN),
    "frequency_penalty": ("--frequency-penalty", _OWN),
    "stop": ("--stop", "a search ends answers at the model's own stop tokens"),
    "schema": ("--schema", _NO_STRUCTURE),
    "is_unbounded": ("--unbounded", _NO_STRUCTURE),
    "regex": ("--regex", _NO_STRUCTURE),
    "choice": ("--choice", _NO_STRUCTURE),
    "logprobs": ("--logprobs", "answers have a score instead"),
}


class Search(NamedTuple):
    """What to look for."""

    width: int
    n: int
    length_penalty: float


class Found(NamedTuple):
    """An answer to one of the prompts."""

    place: int  # of the prompt
    rank: int  # among its answers
    answer: "Completion"
    more: Mapping[str, object]  # what --json says of it besides


def search(beams: int | None, drawing: Drawing, *, n: int, length_penalty: float, drafts: str | None) -> Search | None:
    """What to look for, if anything. Raises UsageError for other options that mean nothing then, with the reason."""
    if beams is None:
        if length_penalty != 1.0:
            raise UsageError("--length-penalty goes with --beams: an answer that is drawn is not ranked by its length")
        return None
    told, usual = vars(drawing), vars(Drawing())
    strange = [reason for name, reason in _STRANGE.items() if (told[name] or None) != (usual[name] or None)]
    strange += [("--drafts", "guesses are of one answer that is said in order")] if drafts is not None else []
    if strange:
        named = ", ".join(f"{option} ({why})" for option, why in strange)
        raise UsageError(f"--beams looks for the likeliest answers and does not go with {named}; leave out one or the other")
    if n > beams:
        raise UsageError(f"-n {n} with --beams {beams}: a search finds one answer for each beam; want -n {beams} or more beams")
    return Search(beams, n, length_penalty)


def found(model: Speaker, asked: Sequence[Asked], wanted: Search) -> Iterator[Found]:
    """The best answers to each prompt, best first. One prompt that cannot be searched touches no other."""
    for place, one in enumerate(asked):
        try:
            best = model.likeliest(one, width=wanted.width, n=wanted.n, length_penalty=wanted.length_penalty)
        except (DataError, ResourceError) as error:
            yield Found(place, 0, _failed(str(error)), {"beams": wanted.width})
            continue
        for rank, each in enumerate(best):
            # How much of a prompt a search found computed is not recorded.
            yield Found(place, rank, each.whole, {"num_cached": None, "beams": wanted.width, "score": each.score})


def _failed(error: str) -> "Completion":
    return cast("type[Completion]", load("whorl.core.records:Completion"))("", finish="error", error=error)
