"""core/records: what walks through the house: documents as columns, dialogues as messages, questions with checkable answers.

Documents are Arrow tables, never one Python object each; the rest are small frozen dataclasses with a JSON spelling.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import pyarrow as pa

from whorl.core.config import PARTS
from whorl.core.errors import DataError

__all__ = ["DOCUMENTS", "Completion", "Dialogue", "Message", "Question", "Score", "read_dialogues", "write_dialogues"]

# The columns of every documents artifact. `id` is unique in a corpus; `source` names where the text came from (a file,
# a URL); `date` is the text's own date, `added` the day it was ingested if the source knows it; `rights` holds robots and
# opt-out evidence as JSON; `part` is empty until corpus.refine draws it; `meta` is a JSON object.
DOCUMENTS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("licence", pa.string()),
        pa.field("language", pa.string()),
        pa.field("date", pa.string()),
        pa.field("rights", pa.string()),
        pa.field("part", pa.string()),
        pa.field("added", pa.string()),
        pa.field("meta", pa.string()),
    ]
)

Role = Literal["system", "user", "assistant", "tool"]


class Message(NamedTuple):
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True)
class Dialogue:
    """A conversation in the OpenAI messages shape, with the part it belongs to and what it was made from."""

    id: str
    messages: tuple[Message, ...]
    part: str = "train"
    source: str = ""  # a document id, or "task:NAME"
    meta: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """One JSON line: {"id", "messages": [{"role", "content"}], "part", "source", "meta"}."""
        value = asdict(self)
        value["messages"] = [message._asdict() for message in self.messages]
        return json.dumps(value, ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, line: str | bytes, where: str) -> "Dialogue":
        """Parse one line of UTF-8. Raises DataError naming `where`."""
        try:
            value = json.loads(line)
            messages = tuple(_message(message) for message in value["messages"])
        except (ValueError, KeyError, TypeError) as error:
            wanted = '{"messages": [{"role": "user", "content": "..."}, ...]}'
            raise DataError(f"{where}: not a dialogue ({error!r}); want {wanted}") from error
        part = value.get("part", "train")
        if part not in PARTS:
            raise DataError(f"{where}: part '{part}'; want one of {', '.join(PARTS)}")
        return cls(str(value.get("id", where)), messages, part, value.get("source", ""), value.get("meta", {}))


def _message(value: Mapping[str, Any]) -> Message:
    role, content = value["role"], value["content"]
    if role not in get_args(Role):
        raise ValueError(f"role {role!r}; want one of {', '.join(get_args(Role))}")
    if not isinstance(content, str):
        raise TypeError(f"content {content!r}; want text")
    return Message(role, content)


@dataclass(frozen=True)
class Question:
    """A prompt with a checkable answer. `operand` names what the skill was applied to; equal operands never cross parts."""

    id: str
    messages: tuple[Message, ...]  # ends with a user turn
    answers: tuple[str, ...]  # any of these is right; the first is shown as gold
    operand: str = ""


@dataclass(frozen=True)
class Completion:
    """What a model answered: text, its token ids and the log-probability (nats) of each."""

    text: str
    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    finish: Literal["stop", "length", "aborted", "deadline", "error"] = "stop"
    error: str = ""  # why it could not go on
    top: tuple[tuple[tuple[int, float], ...], ...] = ()  # the likeliest ids in place of each with their nats, if asked for
    num_prompt: int = 0  # tokens
    num_cached: int = 0  # of these, found computed
    num_drafted: int = 0  # guesses of its tokens that were checked
    num_accepted: int = 0  # of these, right


class Score(NamedTuple):
    """A checker's verdict on one answer, between 0 and 1, with a word on why."""

    value: float
    why: str = ""


def write_dialogues(path: Path, dialogues: Iterable[Dialogue]) -> int:
    """Write one JSON line per dialogue; returns how many."""
    count = 0
    with path.open("w", encoding="utf-8") as handle:
        for dialogue in dialogues:
            handle.write(dialogue.to_json() + "\n")
            count += 1
    return count


def read_dialogues(folder: Path, parts: Sequence[str] = PARTS) -> Iterator[Dialogue]:
    """Dialogues of a finished folder (`dialogues.jsonl`) or of any `*.jsonl` file, restricted to some parts.

    Raises DataError when there is no such file, or at the first line that is not a dialogue.
    """
    paths = [folder] if folder.is_file() else sorted(folder.glob("*.jsonl"))
    if not paths:
        raise DataError(f"{folder}: no *.jsonl file there; want dialogues, one JSON object per line")
    for path in paths:
        yield from (dialogue for dialogue in _dialogues_of(path) if dialogue.part in parts)


def _dialogues_of(path: Path) -> Iterator[Dialogue]:
    with path.open("rb") as handle:
        for number, line in enumerate(handle, start=1):
            if line.strip():
                yield Dialogue.from_json(line, f"{path.name}:{number}")
