"""cli/verbs/init: begin a project."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from whorl.cli.options import HERE
from whorl.cli.project import start_project
from whorl.cli.target import go_there
from whorl.cli.terminal import Terminal
from whorl.core.errors import UsageError

__all__ = ["init"]

PANEL = "Begin"


class Template(StrEnum):
    """What a new recipe starts from."""

    demo = "demo"
    text = "text"
    web = "web"


_WHAT_NEXT = {
    Template.text: "put your texts in docs/ (any depth, *.txt); the recipe says what happens to them",
    Template.web: "put web archives, wiki dumps and other files in data/ (any depth); the recipe says what happens to them",
}

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The project folder; made if it is not there.", show_default="this folder")
]
From = Annotated[
    Template,
    typer.Option("--template", "-t", help="demo: Python's own documentation. text: your docs/**/*.txt. web: all of data/."),
]


def init(terminal: Terminal, folder: Folder = HERE, *, template: From = Template.text) -> None:
    """Write a commented recipe.yaml, its schema for editors, and a .gitignore. Never overwrites a recipe.

    Examples:
      whorl init --template text
      whorl init my_model --template demo
    """
    recipe = folder / "recipe.yaml"
    if recipe.exists():
        raise UsageError(f"{recipe} is there already and is not overwritten; name another folder, or move it away")
    started = start_project(folder, template.value)
    document = {"project": str(started.folder), "written": list(started.written), "kept": list(started.kept)}
    lines = [f"wrote {', '.join(started.written)} in {folder.resolve()}"]
    if started.kept:
        lines.append(f"kept {', '.join(started.kept)}, which was there already")
    lines += [_WHAT_NEXT[template]] if template in _WHAT_NEXT else []
    terminal.answer(
        document, *lines, "", "try next:", *(f"  {command}" for command in [*go_there(folder), "whorl plan", "whorl run"])
    )
