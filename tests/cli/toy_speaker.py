"""A model that answers with what was said last, backwards and letter by letter, without a tensor."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from whorl.core.errors import DataError, ResourceError
from whorl.core.records import Completion, Message
from whorl.infer.request import Sampling


@dataclass(frozen=True)
class Asked:
    prompt: Any
    sampling: Sampling
    form: Any


@dataclass(frozen=True)
class Piece:
    text: str
    whole: Completion | None = None


@dataclass(frozen=True)
class Ranked:
    whole: Completion
    score: float


@dataclass
class Turn:
    forgotten: tuple[Message, ...]
    pieces: Iterator[Piece] = field(default_factory=lambda: iter(()))
    is_stopped: bool = False

    def stop(self) -> None:
        self.is_stopped = True


@dataclass
class Parrot:
    """Sixty characters of context; a '!' makes it run on, a '?' makes it fail."""

    max_positions: int = 60
    asked_for: list[Asked] = field(default_factory=list)

    def room(self, prompt: Any) -> int:
        return self.max_positions - len(_text(prompt))

    def asked(self, prompt: Any, sampling: Sampling, *, form: Any = None) -> Asked:
        if len(_text(prompt)) + sampling.max_tokens > self.max_positions:
            raise DataError(f"the prompt has {len(_text(prompt))} tokens; shorten it")
        return Asked(prompt, sampling, form)

    def answers(self, asked: Any) -> Iterator[Completion]:
        for one in asked:
            self.asked_for.append(one)
            yield self._answer(one)

    def likeliest(self, asked: Asked, *, width: int, n: int = 1, length_penalty: float = 1.0) -> "list[Ranked]":
        """A '?' is too much for more than two beams."""
        self.asked_for.append(asked)
        if "?" in _text(asked.prompt) and width > 2:
            raise ResourceError("too many beams")
        return [Ranked(self._answer(asked), -0.5 * length_penalty - rank) for rank in range(n)]

    def stream(self, asked: Asked) -> Iterator[Piece]:
        (whole,) = self.answers([asked])
        yield from (Piece(letter) for letter in whole.text)
        yield Piece("", whole)

    def talk(self, *, system: str | None = None) -> "Talk":
        return Talk(self, [] if system is None else [Message("system", system)])

    def spelled(self, token: int) -> str:
        return chr(token)

    def _answer(self, asked: Asked) -> Completion:
        text, sampling = _text(asked.prompt), asked.sampling
        heat = str(sampling.temperature or "")
        said = (text[::-1] + heat + (f"#{sampling.seed}" if heat else ""))[: sampling.max_tokens]
        ids = tuple(map(ord, said))
        finish = "error" if "?" in text else "length" if "!" in text else "stop"
        top = tuple(((token, -0.5),) for token in ids) if sampling.logprobs else ()
        return Completion(
            said, ids, (-0.5,) * len(ids), finish, error="it broke" * (finish == "error"), top=top, num_prompt=len(text)
        )


@dataclass
class Talk:
    model: Parrot
    system: list[Message]
    turns: list[Message] = field(default_factory=list)

    @property
    def messages(self) -> list[Message]:
        return [*self.system, *self.turns]

    def reset(self) -> None:
        self.turns.clear()

    def ask(self, text: str, sampling: Sampling, *, form: Any = None) -> Turn:
        kept = [*self.turns, Message("user", text)]
        while sum(len(message.content) for message in kept) + sampling.max_tokens > self.model.max_positions:
            if len(kept) < 3:
                raise DataError("too long; shorten it")
            kept = kept[2:]
        turn = Turn(tuple(self.turns[: len(self.turns) + 1 - len(kept)]))
        turn.pieces = self._pieces(turn, kept, Asked(text, sampling, form))
        return turn

    def _pieces(self, turn: Turn, kept: list[Message], asked: Asked) -> Iterator[Piece]:
        (whole,) = self.model.answers([asked])
        shown = ""
        for letter in whole.text:
            if turn.is_stopped:
                whole = replace(whole, text=shown, ids=whole.ids[: len(shown)], finish="aborted")
                break
            shown += letter
            yield Piece(letter)
        if whole.finish != "error":
            self.turns = [*kept, Message("assistant", whole.text)]
        yield Piece("", whole)


def _text(prompt: Any) -> str:
    return prompt if isinstance(prompt, str) else prompt[-1].content
