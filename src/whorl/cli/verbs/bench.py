"""cli/verbs/bench: measure this machine with a model: how fast it decodes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.table import Table

from whorl.cli import reach
from whorl.cli.drawing import NOT_MEASURED, Column, duration, number, size, table
from whorl.cli.options import Opening
from whorl.cli.terminal import Terminal
from whorl.core.errors import UsageError

__all__ = ["decode"]

PANEL = "Look inside"

What = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME | SHAPE",
        help="A checkpoint's name or folder (without it, the one made last), or a family's dials: random weights.",
    ),
]
Streams = Annotated[str, typer.Option("--streams", metavar="N,N", help="How many answers at once; one row for each.")]
PromptTokens = Annotated[
    int | None, typer.Option("--prompt", metavar="N", min=1, help="Tokens of a prompt.", show_default="128, or what fits")
]
AnswerTokens = Annotated[
    int | None, typer.Option("--answer", metavar="N", min=2, help="Tokens of an answer.", show_default="64, or what fits")
]


def decode(
    terminal: Terminal,
    what: What = None,
    *,
    streams: Streams = "1,4,8",
    prompt: PromptTokens = None,
    answer: AnswerTokens = None,
    opening: Opening = Opening(),
) -> None:
    """Measure tokens a second, the time to a first token, the share of the memory's speed (mbu) and memory.

    Prompts are random ids, every answer is as long as asked, greedy and with log-probabilities. The roof that mbu is a share of
    is measured too, and named: what else the machine does meanwhile slows both.

    Examples:
      whorl bench decode
      whorl bench decode chat --weights int8 --json
      whorl bench decode "{use: llama, depth: 12, vocabulary: 16384}" --streams 1,8,32
    """
    found = reach.decoding_gauged(
        _meant(what, opening.project),
        weights=opening.weights.value,
        asked={"streams": _counts(streams), "prompt": prompt, "answer": answer},
    )
    terminal.answer(found, *_drawn(found))


def _meant(what: str | None, project: Path) -> Path | Mapping[str, Any]:
    """A checkpoint folder, or the dials of a family."""
    if what is not None and what.lstrip().startswith("{"):
        dials = reach.plain_value(what)
        if not isinstance(dials, dict) or not all(isinstance(name, str) for name in dials):
            raise UsageError(f"'{what}' are no dials; want {{use: llama, depth: 12}}")
        return dials
    if what is not None and (Path(what) / "config.json").is_file():
        return Path(what)
    return reach.found(reach.opened_workspace(project), "checkpoint", what).path


def _counts(text: str) -> tuple[int, ...]:
    words = text.split(",")
    if not all(word.strip().isdigit() and int(word) > 0 for word in words):
        raise UsageError(f"--streams '{text}': want whole numbers of at least 1 with commas between, e.g. 1,4,8")
    return tuple(map(int, words))


def _drawn(found: Mapping[str, Any]) -> list[RenderableType]:
    return [_head(found), "", _paces(found["paces"])]


def _head(found: Mapping[str, Any]) -> Table:
    model, weights, cache, memory = (found[name] for name in ("model", "weights", "cache", "peak_memory_bytes"))
    drawn = Table.grid(padding=(0, 2, 0, 0))
    drawn.add_column(style="dim", no_wrap=True)
    drawn.add_column(overflow="fold")
    drawn.add_row("model", f"{model['name']}, {model['family']}, {number(model['parameters'])} parameters")
    drawn.add_row("weights", f"{weights['format']}, {size(weights['read_bytes_per_token'])} read for a token")
    drawn.add_row("cache", f"{size(cache['bytes_per_token'])} a token, room for {size(cache['room_bytes'])}")
    drawn.add_row("most held", ", ".join(f"{size(held)} {where}" for where, held in memory.items()))
    drawn.add_row("roof", found["roof"]["how"])
    drawn.add_row("asked", f"prompts of {found['load']['prompt']} tokens, answers of {found['load']['answer']}")
    return drawn


def _paces(paces: Sequence[Mapping[str, Any]]) -> Table:
    titles = ("streams", "tokens/s", "slowest to fastest", "a token", "first token", "prompt tokens/s", "mbu")
    drawn = table(*(Column(title, "right") for title in titles))
    for pace in paces:
        low, high = pace["spread"]
        drawn.add_row(
            str(pace["streams"]),
            number(pace["tokens_per_s"]),
            f"{number(low)} to {number(high)}",
            f"{pace['step_s'] * 1e3:.2f} ms",
            duration(pace["first_token_s"]),
            number(pace["prefill_tokens_per_s"]),
            NOT_MEASURED if pace["mbu"] is None else f"{pace['mbu']:.0%}",
        )
    return drawn
