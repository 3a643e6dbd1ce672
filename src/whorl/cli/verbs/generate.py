"""cli/verbs/generate: let a checkpoint go on with a text, or answer prompts."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from whorl.cli import searching, speaking
from whorl.cli.options import Drafts, Drawing, Opening
from whorl.cli.terminal import Terminal
from whorl.core.errors import DataError, UsageError

if TYPE_CHECKING:
    from whorl.core.records import Completion, Message
    from whorl.infer.structure import Structure

__all__ = ["generate"]

PANEL = "Look inside"

Text = Annotated[str | None, typer.Argument(metavar="PROMPT", help="The text; without it, all of standard input.")]


@dataclass(frozen=True)
class Asking:
    """What is asked, of whom, and how often."""

    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME", help="A checkpoint's name or folder; else the one made last.")
    ] = None
    is_chat: Annotated[bool, typer.Option("--chat", metavar="", help="The prompt is what a user says, to be answered.")] = False
    system: Annotated[str | None, typer.Option("--system", metavar="TEXT", help="With --chat: what goes before it.")] = None
    prompts: Annotated[
        Path | None,
        typer.Option("--prompts", metavar="FILE", help='JSON lines: {"prompt": TEXT} or {"messages": [...]} each.'),
    ] = None
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="Answers to each prompt.")] = 1
    beams: Annotated[
        int | None,
        typer.Option("--beams", metavar="N", min=1, help="Look for the likeliest answers with N beams instead of drawing any."),
    ] = None
    length_penalty: Annotated[
        float,
        typer.Option("--length-penalty", help="With --beams: above 0 prefers longer answers, below 0 shorter ones."),
    ] = 1.0
    drafts: Drafts = None


class _Wanted(NamedTuple):
    """A prompt, and what it is called in answers and complaints."""

    name: str
    prompt: "str | Sequence[Message]"


def generate(terminal: Terminal, prompt: Text = None, *, asking: Asking, drawing: Drawing, opening: Opening) -> int:
    """Go on with a text as a document, or answer a user's turn with --chat. A single answer is shown while it is said.

    With --prompts many are computed side by side and answered in order. With --json every answer is a line. --beams looks for
    the likeliest answers, the best first, one prompt after the other; nothing is drawn then. Exit code 1 when an answer failed,
    or was cut off before it was what --schema, --regex or --choice ask for.

    Examples:
      whorl generate "The wheel turns"
      whorl generate "Reverse: c a t" --chat --model chat
      whorl generate "Tell me more." --chat --temperature 0.8 --top-p 0.95 --seed 3 -n 4
      whorl generate --prompts prompts.jsonl --max-tokens 64 --json
      whorl generate "Is it well?" --chat --choice yes --choice no
      whorl generate "The wheel turns" --beams 4 -n 2
      whorl generate "Say it again: ..." --chat --drafts text
    """
    wanted = _wanted(prompt, asking)
    search = searching.search(asking.beams, drawing, n=asking.n, length_penalty=asking.length_penalty, drafts=asking.drafts)
    form = speaking.structure(drawing, tell=terminal.remark)
    model = speaking.opened(asking.model, opening, drafts=asking.drafts)
    copies = 1 if search else asking.n
    asked = [one for each in wanted for one in _asked(model, each, drawing, form=form, n=copies)]
    is_streamed = len(asked) == 1 and not terminal.is_json and search is None
    if search is not None:
        answers = searching.found(model, asked, search)
    else:
        said = _streamed(terminal, model, asked[0]) if is_streamed else model.answers(asked)
        answers = (searching.Found(place // copies, place % copies, answer, {}) for place, answer in enumerate(said))
    is_well = True
    for one in answers:
        name, answer = wanted[one.place].name, one.answer
        document = speaking.answer_document(answer, model, prompt=name, answer=one.rank)
        terminal.answer({**document, **one.more}, *(() if is_streamed else (answer.text,)))
        fault = speaking.complaint(answer, drawing)
        if fault:
            terminal.remark(fault if len(asked) == 1 else f"{name}: {fault}", style="yellow")
        is_well &= answer.finish not in ("error", "deadline") and not (form and answer.finish == "length")
    return 0 if is_well else 1


def _wanted(prompt: str | None, asking: Asking) -> list[_Wanted]:
    """What was asked, from wherever it was said. Raises UsageError unless it was said once."""
    if asking.prompts is not None:
        if prompt is not None or asking.is_chat:
            raise UsageError("--prompts FILE says what is asked and how; leave out PROMPT and --chat")
        return list(_lines(asking.prompts))
    if asking.system is not None and not asking.is_chat:
        raise UsageError("--system goes with --chat: a document has no system turn")
    if prompt is None and sys.stdin.isatty():
        raise UsageError("no prompt; want one as PROMPT, on standard input, or --prompts FILE")
    text = sys.stdin.read() if prompt is None else prompt
    return [_Wanted("prompt", speaking.messages(text, system=asking.system) if asking.is_chat else text)]


def _lines(path: Path) -> Iterator[_Wanted]:
    """The prompts of a file. Raises UsageError when it cannot be read, DataError for a line that holds none."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}; want a file of JSON lines in UTF-8") from error
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not numbered:
        raise DataError(f"{path} holds no prompts; want a line of JSON for each")
    for number, line in numbered:
        where = f"{path}:{number}"
        try:
            value = json.loads(line)
        except ValueError as error:
            raise DataError(f"{where}: no JSON ({error})") from error
        if not isinstance(value, dict) or ("prompt" in value) == ("messages" in value):
            raise DataError(f'{where}: want one of {{"prompt": TEXT}} and {{"messages": [{{"role": ..., "content": ...}}]}}')
        if "prompt" in value and not isinstance(value["prompt"], str):
            raise DataError(f"{where}: prompt is {type(value['prompt']).__name__}; want text")
        name = str(value.get("id", where))
        yield _Wanted(name, value["prompt"] if "prompt" in value else speaking.dialogue(line, where))


def _asked(
    model: speaking.Speaker, wanted: _Wanted, drawing: Drawing, *, form: "Structure | None", n: int
) -> Iterator[speaking.Asked]:
    """The prompt as the model reads it, once for each answer. Raises DataError when it leaves no room."""
    try:
        room = drawing.max_tokens or min(speaking.USUAL_TOKENS, model.room(wanted.prompt))
        for copy in range(n):
            yield model.asked(wanted.prompt, speaking.sampling(drawing, max_tokens=room, copy=copy), form=form)
    except DataError as error:
        raise DataError(f"{wanted.name}: {error}") from error


def _streamed(terminal: Terminal, model: speaking.Speaker, asked: speaking.Asked) -> "Iterator[Completion]":
    """The answer, shown while it is said."""
    for piece in model.stream(asked):
        terminal.say_as_is(piece.text)
        if piece.whole is not None:
            terminal.say_as_is("" if piece.whole.text.endswith("\n") else "\n")
            yield piece.whole
