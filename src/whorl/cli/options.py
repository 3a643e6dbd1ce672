"""cli/options: options that several verbs share, so that they are spelt and explained once.

A dataclass of options is one parameter of a verb: cli/app offers its fields one by one and hands it over filled.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "HERE",
    "Arguments",
    "Drafts",
    "Drawing",
    "First",
    "Last",
    "Opening",
    "Project",
    "Strict",
    "Trust",
    "Weights",
    "Workers",
]

HERE = Path()

Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RECIPE | A.B=VALUE", help="A recipe file or project folder (default: this folder), then overrides."
    ),
]
First = Annotated[str | None, typer.Option("--from", metavar="STAGE", help="Only this stage and what follows from it.")]
Last = Annotated[str | None, typer.Option("--to", metavar="STAGE", help="Only this stage and what it needs.")]
Trust = Annotated[
    list[str] | None,
    typer.Option("--trust", metavar="PACKAGE", help="Let the recipe use code of this package; may be repeated."),
]
Strict = Annotated[
    bool, typer.Option("--strict", metavar="", help="Fail, rather than warn, when cached work was made by other source.")
]
Workers = Annotated[
    int, typer.Option("--workers", metavar="N", min=0, help="Processes that share the work on data; 0: one per core.")
]
Project = Annotated[
    Path, typer.Option("--project", "-C", metavar="DIR", help="The project folder.", show_default="this folder")
]

Drafts = Annotated[
    str | None,
    typer.Option(
        "--drafts",
        metavar="text|NAME",
        help="Guess ahead from the text itself, or by a smaller checkpoint of the same vocabulary: the same answers, sooner "
        "where that pays.",
    ),
]


class Weights(StrEnum):
    """How a model's matrices are held while it answers."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    int8 = "int8"
    int4 = "int4"
    fp8 = "fp8"


@dataclass(frozen=True)
class Opening:
    """Which model, and how it is held."""

    weights: Annotated[
        Weights,
        typer.Option(
            "--weights",
            help="Precision of the matrices. auto: bf16 where the processor has it. int8, int4, fp8 (GPU): rounded.",
        ),
    ] = Weights.auto
    project: Project = HERE


@dataclass(frozen=True)
class Drawing:
    """How answers are drawn, where they end, and what they may be."""

    temperature: Annotated[
        float, typer.Option("--temperature", "-t", min=0.0, help="0: always the likeliest token.", rich_help_panel="Drawing")
    ] = 0.0
    top_k: Annotated[
        int | None, typer.Option("--top-k", min=1, help="Draw from this many likeliest.", rich_help_panel="Drawing")
    ] = None
    top_p: Annotated[
        float, typer.Option("--top-p", help="Draw from the fewest that hold this probability.", rich_help_panel="Drawing")
    ] = 1.0
    min_p: Annotated[
        float,
        typer.Option("--min-p", help="Draw from those this likely beside the likeliest.", rich_help_panel="Drawing"),
    ] = 0.0
    repetition_penalty: Annotated[
        float,
        typer.Option("--repetition-penalty", help="Divides what was seen; 1: none.", rich_help_panel="Drawing"),
    ] = 1.0
    presence_penalty: Annotated[
        float, typer.Option("--presence-penalty", help="Taken off what was said.", rich_help_panel="Drawing")
    ] = 0.0
    frequency_penalty: Annotated[
        float,
        typer.Option("--frequency-penalty", help="Taken off it once for each time.", rich_help_panel="Drawing"),
    ] = 0.0
    seed: Annotated[
        int, typer.Option("--seed", metavar="SEED", help="The same seed draws the same answer.", rich_help_panel="Drawing")
    ] = 0
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens", min=1, help="Longest answer.", rich_help_panel="Bounds", show_default="256, or the room left"
        ),
    ] = None
    stop: Annotated[
        list[str] | None,
        typer.Option("--stop", metavar="TEXT", help="End before this text; may be repeated.", rich_help_panel="Bounds"),
    ] = None
    schema: Annotated[
        Path | None,
        typer.Option(
            "--schema", metavar="FILE", help="Answer with JSON of this JSON Schema, made to end.", rich_help_panel="Bounds"
        ),
    ] = None
    is_unbounded: Annotated[
        bool,
        typer.Option(
            "--unbounded",
            metavar="",
            help="Leave what --schema leaves open: an answer may never end.",
            rich_help_panel="Bounds",
        ),
    ] = False
    regex: Annotated[
        str | None,
        typer.Option("--regex", metavar="PATTERN", help="Answer with text of this form.", rich_help_panel="Bounds"),
    ] = None
    choice: Annotated[
        list[str] | None,
        typer.Option("--choice", metavar="TEXT", help="Answer with one of these; repeated.", rich_help_panel="Bounds"),
    ] = None
    logprobs: Annotated[
        int,
        typer.Option(
            "--logprobs", metavar="N", min=0, help="With --json: the N likeliest of every token.", rich_help_panel="Bounds"
        ),
    ] = 0
