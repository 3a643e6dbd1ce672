"""cli/verbs/config: look at a recipe with every default filled in, or print the schema of all recipes."""

import json
from collections.abc import Callable
from typing import cast

from whorl.cli import reach
from whorl.cli.options import Arguments, Trust
from whorl.cli.target import target
from whorl.cli.terminal import Terminal
from whorl.core.door import load

__all__ = ["schema", "show"]

PANEL = "Look inside"


def show(terminal: Terminal, arguments: Arguments = None, *, trust: Trust = None) -> None:
    """Print the recipe as a run would read it: overrides applied, defaults filled in.

    Examples:
      whorl config show
      whorl config show recipe.yaml seed=8 --json
    """
    meant = target(arguments or ())
    recipe = reach.read_recipe(meant.recipe, meant.overrides, trust or ())
    plain = cast("Callable[[object], dict[str, object]]", load("whorl.core.canonical:plain"))(recipe)
    if terminal.is_json:
        terminal.line(plain)
        return
    dump = cast("Callable[..., str]", load("yaml:safe_dump"))
    terminal.text(dump(plain, sort_keys=False, allow_unicode=True, width=120))


def schema(terminal: Terminal) -> None:
    """Print the JSON Schema of recipes, with every stage and member of this house. Editors check and complete with it.

    Examples:
      whorl config schema
    """
    terminal.text(json.dumps(reach.recipe_schema(), indent=1, sort_keys=True) + "\n")
