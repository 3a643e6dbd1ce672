"""cli/verbs/chat: talk to a checkpoint."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from whorl.cli import speaking
from whorl.cli.options import Drafts, Drawing, Opening
from whorl.cli.terminal import Terminal, error_document
from whorl.core.errors import WhorlError

if TYPE_CHECKING:
    from whorl.core.records import Completion, Message
    from whorl.infer.structure import Structure

__all__ = ["chat"]

PANEL = "Look inside"

_HELP = "/reset forgets the conversation, /save FILE keeps it, /quit ends"
_SHOWN = 40  # characters of a forgotten turn

What = Annotated[
    str | None, typer.Argument(metavar="NAME", help="A checkpoint's name or folder; without it, the one made last.")
]


@dataclass(frozen=True)
class Opener:
    """How the conversation begins."""

    once: Annotated[str | None, typer.Option("--once", metavar="TEXT", help="Ask this, print the answer, end.")] = None
    system: Annotated[str | None, typer.Option("--system", metavar="TEXT", help="What the conversation begins with.")] = None
    drafts: Drafts = None


@dataclass
class _Conversation:
    """A conversation in a terminal."""

    terminal: Terminal
    model: speaking.Speaker
    drawing: Drawing
    form: "Structure | None"
    talk: speaking.Talk
    num_asked: int = 0

    def ask(self, text: str) -> bool:
        """Show the answer to the user's turn; whether it is one. Raises DataError when the turn is too long."""
        room = self.drawing.max_tokens or min(speaking.USUAL_TOKENS, self.model.max_positions // 2)
        turn = self.talk.ask(text, speaking.sampling(self.drawing, max_tokens=room, copy=self.num_asked), form=self.form)
        self.num_asked += 1
        if turn.forgotten:
            self.terminal.remark(_forgotten(turn.forgotten), style="yellow")
        answer = self._heard(turn)
        document = speaking.answer_document(answer, self.model, num_forgotten=len(turn.forgotten))
        self.terminal.answer(document)
        fault = speaking.complaint(answer, self.drawing)
        if fault:
            self.terminal.remark(fault, style="yellow")
        return answer.finish not in ("error", "deadline") and not (self.form and answer.finish == "length")

    def _heard(self, turn: speaking.Turn) -> "Completion":
        """The answer, shown while it is said, until it ends or Ctrl-C ends it."""
        answer = None
        with _interrupts() as is_interrupted:
            for piece in turn.pieces:
                self.terminal.say_as_is(piece.text)
                answer = piece.whole
                if is_interrupted():
                    turn.stop()
        assert answer is not None, "the last piece brings the whole"
        if not answer.text.endswith("\n"):
            self.terminal.say_as_is("\n")
        return answer


def chat(terminal: Terminal, what: What = None, *, opener: Opener, drawing: Drawing, opening: Opening) -> int:
    """Talk to a checkpoint in the terminal. What was said is kept, and not computed again.

    Answers are shown while they are said; Ctrl-C ends the answer and not the conversation. When the model's context is full,
    the oldest turns are forgotten, and that is said. /reset forgets all, /save FILE adds the conversation to a file that
    train.fit reads. Without a terminal, every line of standard input is a turn. With --json every answer is one JSON line.

    Examples:
      whorl chat
      whorl chat chat --once "reverse: a b c"
      whorl chat ./my_model --temperature 0.8 --top-p 0.95
      whorl chat chat --weights int8 --system "Answer in one word."
    """
    form = speaking.structure(drawing, tell=terminal.remark)
    model = speaking.opened(what, opening, drafts=opener.drafts)
    conversation = _Conversation(terminal, model, drawing, form, model.talk(system=opener.system))
    if opener.once is not None:
        return 0 if conversation.ask(opener.once) else 1
    if sys.stdin.isatty():
        terminal.remark(f"{what or 'the checkpoint made last'}; {_HELP}", style="dim")
    for text in _turns(terminal):
        try:
            if text.startswith("/"):
                _obey(conversation, text)
            else:
                conversation.ask(text)
        except WhorlError as error:  # a turn that cannot be answered does not end the conversation
            terminal.answer(error_document(type(error).__name__, str(error), error.exit_code))
            terminal.remark(str(error), style="red")
    return 0


def _obey(conversation: _Conversation, text: str) -> None:
    """Do what a command says."""
    word, _, rest = text.partition(" ")
    terminal, talk = conversation.terminal, conversation.talk
    if word == "/reset" and not rest:
        talk.reset()
        terminal.remark("forgotten", style="dim")
    elif word == "/save" and rest.strip():
        count = speaking.save(Path(rest.strip()), talk.messages)
        terminal.remark(f"{count} messages added to {rest.strip()}", style="dim")
    else:
        terminal.remark(f"no command '{text}'; {_HELP}", style="yellow")


def _turns(terminal: Terminal) -> Iterator[str]:
    """What the user types, line by line, until /quit or the end."""
    while True:
        try:
            text = (terminal.err.input(Text("> ", style="bold")) if sys.stdin.isatty() else input()).strip()
        except (EOFError, KeyboardInterrupt):
            return
        if text == "/quit":
            return
        if text:
            yield text


@contextmanager
def _interrupts() -> "Iterator[Callable[[], bool]]":
    """Ctrl-C asks; asking twice ends the command as anywhere else."""
    asked = Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            signal.default_int_handler(number, frame)
        asked.set()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _forgotten(messages: "Sequence[Message]") -> str:
    first = " ".join(messages[0].content.split())
    shown = first if len(first) <= _SHOWN else f"{first[:_SHOWN]}..."
    return f"the model's context is full: the oldest {len(messages)} messages are forgotten, from '{shown}' on"
