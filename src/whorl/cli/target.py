"""cli/target: which recipe, project and overrides the words of a command line mean. Reads no file."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from whorl.core.errors import UsageError

if TYPE_CHECKING:
    from whorl.core.artifact import Artifact

__all__ = ["Target", "go_there", "next_commands", "target"]


class Target(NamedTuple):
    """What the positional arguments of plan and run mean."""

    recipe: Path  # a recipe file, or the project folder that holds recipe.yaml
    overrides: tuple[str, ...]

    @property
    def project(self) -> Path:
        """The folder whose `.whorl` is the workspace."""
        return self.recipe if self.recipe.is_dir() else self.recipe.parent


def target(arguments: Sequence[str]) -> Target:
    """Split `[recipe] [a.b=value ...]`. Raises UsageError for an argument that is neither."""
    first, *rest = arguments or ("",)
    has_recipe = bool(first) and ("=" not in first or Path(first).exists())
    overrides = rest if has_recipe or not first else [first, *rest]
    for text in overrides:
        if "=" not in text:
            raise UsageError(f"'{text}': want one recipe at most and then overrides like stages.base.model.depth=4")
    return Target(Path(first) if has_recipe else Path(), tuple(overrides))


def go_there(project: Path) -> list[str]:
    """The command that makes a project the current folder; none when it is."""
    return [] if project.resolve() == Path.cwd() else [f"cd {shlex.quote(str(project))}"]


def next_commands(project: Path, artifacts: "Mapping[str, Artifact]") -> list[str]:
    """How to get to the project, and up to three commands that make sense with what a run left behind."""
    names = {artifact.kind: name for name, artifact in artifacts.items()}  # the last of a kind wins
    commands = [f"whorl chat {names['checkpoint']}"] if "checkpoint" in names else []
    commands += [f"whorl show {names['report']}"] if "report" in names else []
    commands += [f"whorl trace {list(artifacts)[-1]}", "whorl ls"]
    return [*go_there(project), *commands[:3]]
