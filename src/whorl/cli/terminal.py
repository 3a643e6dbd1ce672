"""cli/terminal: where a verb writes: text for people on standard output, or one JSON document there; remarks on standard error.

Decides nothing about content. With JSON, nothing but JSON ever reaches standard output.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO

from rich.console import Console, RenderableType
from rich.text import Text

__all__ = ["Terminal", "console"]


def console(*, is_stderr: bool = False, file: IO[str] | None = None) -> Console:
    """A rich console that colours what it is told to and nothing else: brackets, numbers and colons stay as written."""
    return Console(stderr=is_stderr, file=file, highlight=False, markup=False, emoji=False)


@dataclass(frozen=True)
class Terminal:
    """Both streams of one command."""

    is_json: bool = False
    out: Console = field(default_factory=console)
    err: Console = field(default_factory=lambda: console(is_stderr=True))

    def answer(self, document: object, *drawn: RenderableType) -> None:
        """The answer of the command: the document with --json, else the drawing of it."""
        if self.is_json:
            self.line(document)
        else:
            self.say(*drawn)

    def line(self, document: object) -> None:
        """One JSON document on a line of its own, at once; whatever the width of the terminal."""
        self.out.file.write(json.dumps(document, default=str, ensure_ascii=False) + "\n")
        self.out.file.flush()

    def text(self, text: str) -> None:
        """Text exactly as it is, for files and pipes: no wrapping and no styles."""
        self.out.file.write(text)
        self.out.file.flush()

    def say_as_is(self, text: str) -> None:
        """Text for people exactly as it is, at once: an answer while it is said; silent with --json."""
        if not self.is_json:
            self.text(text)

    def say(self, *drawn: RenderableType) -> None:
        """Text for people; silent with --json. Plain strings are not wrapped, so that commands and paths can be copied."""
        if not self.is_json:
            for item in drawn:
                self.out.print(item, soft_wrap=isinstance(item, str))

    def say_line(self, text: Text) -> None:
        """One line: cut to the width of a terminal, whole everywhere else; silent with --json."""
        if not self.is_json:
            is_cut = self.out.is_terminal
            self.out.print(text, no_wrap=is_cut, overflow="ellipsis" if is_cut else None, soft_wrap=not is_cut)

    def remark(self, text: str, style: str = "") -> None:
        """Something on the side, on standard error whichever form was asked for."""
        self.err.print(Text(text, style=style))


def error_document(kind: str, message: str, exit_code: int) -> Mapping[str, object]:
    """What --json says when a command fails."""
    return {"error": kind, "message": message, "exit_code": exit_code}
