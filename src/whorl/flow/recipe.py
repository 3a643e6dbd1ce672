"""flow/recipe: one YAML file that describes the whole river, and the order its stages run in.

Does not look at the workspace: a recipe is a value.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from whorl.core.config import Config, Ref, refs_in
from whorl.core.errors import ConfigError, UsageError, suggestion
from whorl.core.recipe_text import apply_overrides, read_yaml, validate
from whorl.core.stage import Stage

__all__ = ["Recipe", "load_recipe", "recipe_file"]

_NAME = re.compile(r"^[a-z][a-z0-9_]*$")


class Recipe(Config):
    """A named set of stages and the seed all randomness comes from."""

    name: str
    seed: int = Field(default=0, ge=0)
    stages: dict[str, Stage] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_and_references_hold(self) -> Self:
        for name in self.stages:
            if not _NAME.match(name):
                raise ValueError(f"stage name '{name}': want lower-case letters, digits and underscores")
        self.order()
        for name, stage in self.stages.items():
            for place, ref in refs_in(stage):
                self._check(f"{name}.{place}", ref)
        return self

    def _check(self, place: str, ref: "Ref[Any]") -> None:
        if ref.is_path or "@" in ref.target:
            return
        if ref.target not in self.stages:
            raise ValueError(f"{place}: no stage '{ref.target}'{suggestion(ref.target, list(self.stages))}")
        made = self.stages[ref.target].makes
        if ref.kinds and made not in ref.kinds:
            raise ValueError(f"{place}: stage '{ref.target}' makes {made}, wanted {' or '.join(ref.kinds)}")

    def parents(self, name: str) -> list[str]:
        """Stages that a stage reads directly, in field order, each once."""
        targets = [ref.target for _, ref in refs_in(self.stages[name]) if ref.target in self.stages]
        return list(dict.fromkeys(targets))

    def order(self) -> list[str]:
        """Stage names so that every stage follows what it reads; otherwise as written. Raises ValueError on a circle."""
        done: dict[str, bool] = {}

        def visit(name: str, path: tuple[str, ...]) -> None:
            if name in path:
                raise ValueError(f"stages read each other in a circle: {' -> '.join([*path[path.index(name) :], name])}")
            if name in done:
                return
            for parent in self.parents(name):
                visit(parent, (*path, name))
            done[name] = True

        for name in self.stages:
            visit(name, ())
        return list(done)

    def ancestors(self, name: str) -> set[str]:
        """Every stage that a stage depends on, itself included. Raises UsageError for an unknown name."""
        if name not in self.stages:
            raise UsageError(f"no stage '{name}' in recipe '{self.name}'{suggestion(name, list(self.stages))}")
        return {name}.union(*(self.ancestors(parent) for parent in self.parents(name)))

    def selected(self, *, first: str | None = None, last: str | None = None) -> list[str]:
        """Stages to run, in order: up to `last` and what it needs, and only `first` and what follows from it."""
        chosen = self.ancestors(last) if last else set(self.stages)
        if first is not None:
            self.ancestors(first)
            chosen = {name for name in chosen if first in self.ancestors(name)}
        return [name for name in self.order() if name in chosen]


def load_recipe(path: Path, overrides: Iterable[str] = (), *, trust: Iterable[str] = ()) -> Recipe:
    """Read a recipe file, apply `a.b=value` overrides and validate. Raises ConfigError with file, line and place."""
    located = apply_overrides(read_yaml(recipe_file(path)), list(overrides))
    return validate(Recipe, located, trust=frozenset(trust))


def recipe_file(path: Path) -> Path:
    """The recipe itself, given the file or the project folder that holds `recipe.yaml`."""
    file = path / "recipe.yaml" if path.is_dir() else path
    if not file.is_file():
        raise ConfigError(f"{file}: no recipe there; make one with 'whorl init', or name the file")
    return file


def schema() -> Mapping[str, Any]:
    """JSON Schema of a recipe with every stage and door member of the house."""
    return {**Recipe.model_json_schema(), "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "whorl recipe"}
