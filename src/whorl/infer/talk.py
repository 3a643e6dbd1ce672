"""infer/talk: a conversation with a model, kept as messages and as ids, so that what was said is never read anew.

The next prompt begins with the ids of the last one and of its answer, and the engine still has their keys and values. Where the
context is full, the oldest turns are forgotten and named. Does not decide what a person sees of it.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from whorl.core.errors import DataError
from whorl.core.records import Completion, Message
from whorl.infer.answer import Asked, Model, Piece
from whorl.infer.request import Sampling
from whorl.infer.structure import Structure

__all__ = ["Talk", "Turn"]


class _Said(NamedTuple):
    """One message, and its content as ids."""

    message: Message
    ids: list[int]


class Turn:
    """What becomes of a question. The answer comes in pieces, one after every step of the engine, some of them empty."""

    def __init__(self, forgotten: Sequence[Message]) -> None:
        self.forgotten = tuple(forgotten)  # turns that had to go for it
        self.pieces: Iterator[Piece] = iter(())
        self.is_stopped = False

    def stop(self) -> None:
        """Give the answer up: the next piece is the last, and what was said so far is remembered."""
        self.is_stopped = True


class Talk:
    """A conversation. What a model answered is remembered as it said it, token by token."""

    def __init__(self, model: Model, *, system: str | None = None) -> None:
        self._model = model
        self._system = [] if system is None else [self._said("system", system)]
        self._turns: list[_Said] = []

    @property
    def messages(self) -> list[Message]:
        """What is remembered, the system's words first."""
        return [said.message for said in [*self._system, *self._turns]]

    def reset(self) -> None:
        """Forget all turns; the system's words stay."""
        self._turns.clear()

    def ask(self, text: str, sampling: Sampling, *, form: Structure | None = None) -> Turn:
        """Go on with the user's turn.

        Raises DataError when it is too long to be answered at all with `sampling.max_tokens` more; it is then not remembered.
        """
        asked = self._said("user", text)
        kept = self._fitting([*self._turns, asked], sampling.max_tokens)
        gone = self._turns[: len(self._turns) + 1 - len(kept)]
        turn = Turn([said.message for said in gone])
        turn.pieces = self._pieces(turn, kept, Asked(self._prompt(kept), sampling, form=form))
        return turn

    def _pieces(self, turn: Turn, kept: list[_Said], asked: Asked) -> Iterator[Piece]:
        answer = self._model.begin(asked)
        try:
            while not (answer.is_over or turn.is_stopped):
                yield Piece(self._model.more(answer))
        finally:
            shown = len(answer.text)
            whole = self._model.end(answer)
            if whole.finish != "error":
                self._turns = [*kept, _Said(Message("assistant", whole.text), self._ids(whole))]
        yield Piece(whole.text[shown:], whole)

    def _fitting(self, turns: list[_Said], max_tokens: int) -> list[_Said]:
        """The longest end that leaves room for the answer and begins with the user's words."""
        while (num_tokens := len(self._prompt(turns))) + max_tokens > self._model.config.max_positions:
            later = next((place for place, said in enumerate(turns) if place and said.message.role == "user"), None)
            if later is None:
                raise DataError(
                    f"the last message makes {num_tokens} tokens; with {max_tokens} for the answer that is more than the "
                    f"model's context of {self._model.config.max_positions}; shorten it, or ask for a shorter answer"
                )
            turns = turns[later:]
        return turns

    def _prompt(self, turns: list[_Said]) -> list[int]:
        all_said = [*self._system, *turns]
        return self._model.renderer.prompt_of([said.message for said in all_said], [said.ids for said in all_said])

    def _said(self, role: Literal["system", "user"], text: str) -> _Said:
        return _Said(Message(role, text), self._model.renderer.tokenizer.encode(text))

    def _ids(self, whole: Completion) -> list[int]:
        """The answer's own ids where they spell its text and nothing else; what a stop string cut off was never said."""
        tokenizer, stop_ids = self._model.renderer.tokenizer, self._model.renderer.stop_ids
        own = [token for token in whole.ids if token not in stop_ids]
        is_plain = not set(own) & set(tokenizer.special_ids.tolist())
        return own if is_plain and tokenizer.decode(own) == whole.text else tokenizer.encode(whole.text)
