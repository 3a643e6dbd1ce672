"""cli/speaking: what the verbs that let a model speak share: which model, how its answers are drawn, how they are shown.

Imports nothing heavy: models, sampling and structures are found by name when they are needed.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from whorl.cli import reach
from whorl.cli.options import Drawing, Opening, Weights
from whorl.core.door import load
from whorl.core.errors import UsageError

if TYPE_CHECKING:
    from whorl.core.records import Completion, Dialogue, Message
    from whorl.infer.bounds import Bounds
    from whorl.infer.request import Sampling
    from whorl.infer.structure import Structure

    Prompt = str | Sequence[Message]

__all__ = [
    "USUAL_TOKENS",
    "Asked",
    "Piece",
    "Ranked",
    "Speaker",
    "Talk",
    "Turn",
    "answer_document",
    "complaint",
    "dialogue",
    "messages",
    "opened",
    "sampling",
    "save",
    "structure",
]

USUAL_TOKENS = 256  # of an answer, where nothing else is said and the context has room for it

# What a schema may have where it says nothing itself: room for a paragraph, a page of rows, a date as one number.
_BOUNDS: Mapping[str, int] = {"max_length": 256, "max_items": 16, "max_digits": 9}
_NAMED_PLACES = 6  # of those that got the same bound; the rest are counted

_MATRICES: Mapping[Weights, tuple[str, str]] = {  # what they are loaded as, and what they are packed as
    Weights.auto: ("auto", "auto"),
    Weights.fp32: ("fp32", "auto"),
    Weights.bf16: ("bf16", "auto"),
    Weights.int8: ("auto", "int8"),
    Weights.int4: ("auto", "int4"),
    Weights.fp8: ("auto", "fp8"),
}


class Asked(Protocol):
    """A prompt and how it is to be answered; see infer/answer."""

    @property
    def sampling(self) -> "Sampling":
        """How its answer is drawn."""
        ...


class Piece(Protocol):
    """A part of an answer; see infer/answer."""

    @property
    def text(self) -> str:
        """What was said since the piece before."""
        ...

    @property
    def whole(self) -> "Completion | None":
        """With the last piece, the answer."""
        ...


class Ranked(Protocol):
    """An answer that was looked for; see infer/answer."""

    @property
    def whole(self) -> "Completion":
        """The answer."""
        ...

    @property
    def score(self) -> float:
        """What it was ranked by."""
        ...


class Turn(Protocol):
    """What becomes of a question; see infer/talk."""

    @property
    def forgotten(self) -> "Sequence[Message]":
        """Turns that had to go for it."""
        ...

    @property
    def pieces(self) -> Iterator[Piece]:
        """The answer while it is said, a piece a step."""
        ...

    def stop(self) -> None:
        """Give the answer up; the next piece is the last."""
        ...


class Talk(Protocol):
    """A conversation; see infer/talk."""

    @property
    def messages(self) -> "Sequence[Message]":
        """What is remembered."""
        ...

    def reset(self) -> None:
        """Forget all turns."""
        ...

    def ask(self, text: str, sampling: "Sampling", *, form: "Structure | None" = None) -> Turn:
        """Go on with the user's turn. Raises DataError when it is too long."""
        ...


class Speaker(Protocol):
    """The part of a loaded model that answers; see api.Model."""

    @property
    def max_positions(self) -> int:
        """Tokens of context."""
        ...

    def room(self, prompt: "Prompt") -> int:
        """Tokens that an answer may have."""
        ...

    def asked(self, prompt: "Prompt", sampling: "Sampling", *, form: "Structure | None" = None) -> Asked:
        """A prompt and how it is to be answered. Raises DataError when both do not fit the context."""
        ...

    def answers(self, asked: Iterable[Asked]) -> "Iterator[Completion]":
        """An answer to each, in order."""
        ...

    def likeliest(self, asked: Asked, *, width: int, n: int = 1, length_penalty: float = 1.0) -> Sequence[Ranked]:
        """The best answers a beam search finds, best first."""
        ...

    def stream(self, asked: Asked) -> Iterator[Piece]:
        """An answer while it is said."""
        ...

    def talk(self, *, system: str | None = None) -> Talk:
        """A conversation."""
        ...

    def spelled(self, token: int) -> str:
        """The text of one id."""
        ...


def opened(checkpoint: str | None, opening: Opening, *, drafts: str | None = None) -> Speaker:
    """A model by folder or name; without one, the one made last; `drafts` guesses for it. Raises ArtifactError."""
    project = opening.project
    name = checkpoint or str(reach.found(reach.opened_workspace(project), "checkpoint", None).path)
    dtype, weights = _MATRICES[opening.weights]
    return cast("Callable[..., Speaker]", load("whorl.api:load"))(name, project, dtype=dtype, weights=weights, drafts=drafts)


def sampling(drawing: Drawing, *, max_tokens: int, copy: int = 0) -> "Sampling":
    """How an answer is drawn; each further copy has a seed of its own. Raises UsageError for settings that mean nothing."""
    child = cast("Callable[[int], Any]", load("whorl.core.seed:Seed"))(drawing.seed).child(str(copy))
    seed: int = child.number if copy else drawing.seed
    return cast("type[Sampling]", load("whorl.infer.request:Sampling"))(
        max_tokens,
        drawing.temperature,
        top_k=drawing.top_k,
        top_p=drawing.top_p,
        min_p=drawing.min_p,
        repetition_penalty=drawing.repetition_penalty,
        presence_penalty=drawing.presence_penalty,
        frequency_penalty=drawing.frequency_penalty,
        stop=tuple(drawing.stop or ()),
        logprobs=drawing.logprobs,
        seed=seed,
    )


def complaint(answer: "Completion", drawing: Drawing) -> str:
    """What a person should know of how an answer ended; empty when it is whole."""
    if answer.finish in ("error", "deadline"):
        return answer.error or answer.finish
    if answer.finish == "aborted":
        return f"stopped after {len(answer.ids)} tokens"
    if answer.finish == "length":
        allowed = "--max-tokens allows more" if drawing.max_tokens is not None else "see --max-tokens"
        return f"cut off after {len(answer.ids)} tokens; {allowed}"
    return ""


def structure(drawing: Drawing, *, tell: Callable[[str], None]) -> "Structure | None":
    """What answers may be, if that was said; `tell` hears what a schema was bounded by.

    Raises UsageError for what is malformed or said in two ways.
    """
    given = {"--schema": drawing.schema, "--regex": drawing.regex, "--choice": drawing.choice}
    named = [option for option, value in given.items() if value]
    if len(named) > 1:
        raise UsageError(f"{' and '.join(named)}: want one of them")
    if drawing.is_unbounded and drawing.schema is None:
        raise UsageError("--unbounded goes with --schema: nothing else is bounded")
    if not named:
        return None
    kind = cast("type[Structure]", load("whorl.infer.structure:Structure"))
    if drawing.schema is not None:
        schema = _json_of(drawing.schema)
        return kind.schema(schema) if drawing.is_unbounded else _ending(kind, schema, tell=tell)
    return kind.regex(drawing.regex) if drawing.regex else kind.choice(drawing.choice or ())


def answer_document(answer: "Completion", model: Speaker, /, **said: object) -> dict[str, object]:
    """An answer as --json shows it, after what else is to be `said` of it."""
    document = {**said, "text": answer.text, "finish": answer.finish, "num_tokens": len(answer.ids)}
    document |= {"num_prompt": answer.num_prompt, "num_cached": answer.num_cached}
    document |= {"num_drafted": answer.num_drafted, "num_accepted": answer.num_accepted}
    if answer.error:
        document["error"] = answer.error
    if answer.top:
        document["tokens"] = [
            {"id": token, "text": model.spelled(token), "logprob": logprob, "top": _top(model, top)}
            for token, logprob, top in zip(answer.ids, answer.logprobs, answer.top, strict=True)
        ]
    return document


def messages(text: str, *, system: str | None) -> "list[Message]":
    """What a user says, after the system's words if there are any."""
    kind = cast("type[Message]", load("whorl.core.records:Message"))
    before = [] if system is None else [kind("system", system)]
    return [*before, kind("user", text)]


def dialogue(line: str, where: str) -> "tuple[Message, ...]":
    """The messages of one line of JSON. Raises DataError naming `where`."""
    return _dialogues().from_json(line, where).messages


def save(path: Path, messages: "Sequence[Message]") -> int:
    """Add a conversation to a file of dialogues, a line each, as train.fit reads them; how many messages it has.

    Raises UsageError when nothing was said, or the file cannot be written.
    """
    if all(message.role == "system" for message in messages):
        raise UsageError("nothing was said yet that could be saved")
    digest = cast("Callable[[object], str]", load("whorl.core.canonical:digest"))
    name = digest([list(message) for message in messages])[:16]
    try:
        with path.open("a", encoding="utf-8") as handle:
            handle.write(_dialogues()(f"chat:{name}", tuple(messages), source="chat").to_json() + "\n")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; want a file that can be written, in a folder that is there") from error
    return len(messages)


def _top(model: Speaker, top: "Sequence[tuple[int, float]]") -> list[dict[str, object]]:
    return [{"id": token, "text": model.spelled(token), "logprob": logprob} for token, logprob in top]


def _dialogues() -> "type[Dialogue]":
    return cast("type[Dialogue]", load("whorl.core.records:Dialogue"))


def _ending(kind: "type[Structure]", schema: Any, *, tell: Callable[[str], None]) -> "Structure":  # noqa: ANN401 - any JSON
    """The schema made strict enough that every answer ends; what it bounds itself stays."""
    kind.schema(schema)  # its own faults are told as they are
    bounds = cast("type[Bounds]", load("whorl.infer.bounds:Bounds"))(**_BOUNDS, only_open=True)
    try:
        ending = kind.schema(schema, bounds=bounds)
        added = cast("Callable[..., list[tuple[str, str]]]", load("whorl.infer.bounded:added"))(schema, bounds)
    except UsageError as error:
        raise UsageError(f"{error}; or leave it open with --unbounded") from error
    places: dict[str, list[str]] = {}
    for limit, where in added:
        places.setdefault(limit, []).append(where)
    if places:
        told = "; ".join(f"{limit} at {_some(where)}" for limit, where in places.items())
        tell(f"--schema was bounded so that answers end: {told}. Limits of its own come first; --unbounded adds none")
    return ending


def _some(places: list[str]) -> str:
    rest = len(places) - _NAMED_PLACES
    return ", ".join(places[:_NAMED_PLACES]) + (f" and {rest} more" if rest > 0 else "")


def _json_of(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; want a file that holds a JSON Schema") from error
    except ValueError as error:
        raise UsageError(f"{path} is no JSON ({error}); want a JSON Schema") from error
