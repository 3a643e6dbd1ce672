"""cli/options: options that several verbs share, so that they are spelt and explained once."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["HERE", "Arguments", "First", "Last", "Project", "Strict", "Trust", "Workers"]

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
