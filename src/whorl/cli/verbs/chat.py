"""cli/verbs/chat: talk to a checkpoint."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from whorl.cli import reach
from whorl.cli.options import HERE, Project
from whorl.cli.terminal import Terminal, error_document
from whorl.core.errors import DataError

if TYPE_CHECKING:
    from whorl.core.records import Completion, Message

__all__ = ["chat"]

PANEL = "Look inside"

_HELP = "/reset forgets the conversation, /quit ends"

What = Annotated[
    str | None, typer.Argument(metavar="NAME", help="A checkpoint's name or folder; without it, the one made last.")
]
Once = Annotated[str | None, typer.Option("--once", metavar="TEXT", help="Ask this, print the answer, end.")]
Temperature = Annotated[float, typer.Option("--temperature", "-t", min=0.0, help="0: always the likeliest token.")]
MaxTokens = Annotated[int, typer.Option("--max-tokens", min=1, help="Longest answer.")]


@dataclass
class Conversation:
    """What was said so far, and how the model answers. What does not fit the context any more is told, then forgotten."""

    model: reach.Talker
    temperature: float
    max_tokens: int
    history: "list[Message]" = field(default_factory=list)

    def ask(self, text: str, tell_dropped: Callable[[int], None]) -> "Completion":
        """The answer to the next turn of the user. Raises DataError when the turn alone is too long; it is not remembered."""
        wanted = [*self.history, reach.message("user", text)]
        room = min(self.max_tokens, self.model.max_positions // 2)
        kept = self.model.fitting(wanted, max_tokens=room)
        if len(kept) < len(wanted):
            tell_dropped(len(wanted) - len(kept))
        answer = self.model.complete(kept, max_tokens=room, temperature=self.temperature, seed=len(self.history))
        self.history = [*kept, reach.message("assistant", answer.text)]
        return answer


def chat(
    terminal: Terminal,
    what: What = None,
    *,
    once: Once = None,
    temperature: Temperature = 0.0,
    max_tokens: MaxTokens = 128,
    project: Project = HERE,
) -> None:
    """Talk to a checkpoint in the terminal. The conversation is kept; when it outgrows the model's context, that is said.

    Without a terminal, every line of standard input is a turn. With --json every answer is one JSON line.

    Examples:
      whorl chat
      whorl chat chat --once "reverse: a b c"
      whorl chat ./my_model --temperature 0.8
    """
    name = what or reach.found(reach.opened_workspace(project), "checkpoint", None).path
    talk = Conversation(reach.loaded_model(str(name), project), temperature, max_tokens)
    if once is not None:
        _turn(terminal, talk, once)
        return
    if sys.stdin.isatty():
        terminal.remark(f"{_shown(name)}; {_HELP}", style="dim")
    for text in _turns(terminal):
        if text == "/reset":
            talk.history.clear()
            terminal.remark("forgotten", style="dim")
        elif text.startswith("/"):
            terminal.remark(f"no command '{text}'; {_HELP}", style="yellow")
        else:
            _turn_or_complaint(terminal, talk, text)


def _turn_or_complaint(terminal: Terminal, talk: Conversation, text: str) -> None:
    """A turn that cannot be answered does not end the conversation."""
    try:
        _turn(terminal, talk, text)
    except DataError as error:
        terminal.answer(error_document("DataError", str(error), error.exit_code))
        terminal.remark(str(error), style="red")


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


def _turn(terminal: Terminal, talk: Conversation, text: str) -> None:
    dropped: list[int] = []
    answer = talk.ask(text, dropped.append)
    for count in dropped:
        terminal.remark(f"the model's context is full: the oldest {count} messages are forgotten", style="yellow")
    document = {"text": answer.text, "finish": answer.finish, "num_tokens": len(answer.ids), "num_forgotten": sum(dropped)}
    terminal.answer(document, answer.text)
    if answer.finish == "length":
        terminal.remark(f"cut off after {len(answer.ids)} tokens; --max-tokens allows more", style="yellow")


def _shown(name: str | Path) -> str:
    return f"checkpoint {name.name[:12]}" if isinstance(name, Path) else name
