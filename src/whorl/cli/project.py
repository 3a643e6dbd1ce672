"""cli/project: how a new project begins.

    demo/  recipe.yaml  .gitignore  .whorl/recipe.schema.json

Never overwrites a file of the user's. Runs nothing.
"""

import json
from pathlib import Path
from typing import Literal, NamedTuple

import whorl
from whorl.cli import reach
from whorl.core.errors import ArtifactError

__all__ = ["TEMPLATES", "Started", "recipes_folder", "start_project"]

TEMPLATES = ("demo", "text")
RECIPE = "recipe.yaml"
_HEADER = "# yaml-language-server: $schema=./.whorl/recipe.schema.json"
_IGNORED = "# Everything whorl makes; 'whorl run' makes it again.\n.whorl/\n"


def recipes_folder() -> Path:
    """Where the packaged recipes lie: inside the package, or beside `src` in a checkout."""
    package = Path(whorl.__path__[0])
    for folder in (package / "recipes", package.parents[1] / "recipes"):
        if folder.is_dir():
            return folder
    raise ArtifactError(f"no recipes in {package}; this installation is damaged: install whorl again")


class Started(NamedTuple):
    """What starting a project did to its folder."""

    folder: Path
    written: tuple[str, ...]
    kept: tuple[str, ...]  # were there before and are not touched
    is_own_recipe: bool  # recipe.yaml was there and says something else than the template


def start_project(folder: Path, template: Literal["demo", "text", "web"]) -> Started:
    """Write recipe, schema and .gitignore where they are missing. The schema is ours and is always renewed."""
    source = recipes_folder() / f"{template}.yaml"
    if not source.is_file():
        raise ArtifactError(f"{source}: no such recipe; this installation is damaged: install whorl again")
    recipe = _with_header(source.read_text(encoding="utf-8"))
    (folder / ".whorl").mkdir(parents=True, exist_ok=True)
    schema = folder / ".whorl" / "recipe.schema.json"
    schema.write_text(json.dumps(reach.recipe_schema(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    files = {RECIPE: recipe, ".gitignore": _IGNORED}
    kept = tuple(name for name in files if (folder / name).exists())
    for name, text in files.items():
        if name not in kept:
            (folder / name).write_text(text, encoding="utf-8")
    is_own = (folder / RECIPE).read_text(encoding="utf-8") != recipe
    return Started(folder, tuple(name for name in files if name not in kept), kept, is_own)


def _with_header(recipe: str) -> str:
    return recipe if recipe.startswith(_HEADER) else f"{_HEADER}\n{recipe}"
