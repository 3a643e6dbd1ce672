"""Finds every door of the house in its sources, importing nothing; laws and contracts are checked over what it finds."""

import ast
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
HOUSE = ROOT / "src" / "whorl"


class Door(NamedTuple):
    """An open folder: its dotted name, the class its members derive from (`module:Class`), and the members' names."""

    package: str
    parent: str
    members: tuple[str, ...]


def doors() -> list[Door]:
    """Every package that defines a door class, and the `stages` folder of every room."""
    found = []
    for init in sorted(HOUSE.rglob("__init__.py")):
        package = "whorl." + init.parent.relative_to(HOUSE).as_posix().replace("/", ".")
        if init.parent.name == "stages":
            found.append(Door(package, "whorl.core.stage:Stage", _members(init.parent)))
        else:
            found += [Door(package, f"{package}:{name}", _members(init.parent)) for name in _door_classes(init)]
    return found


def _door_classes(init: Path) -> list[str]:
    tree = ast.parse(init.read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return [node.name for node in classes if any(keyword.arg == "is_door" for keyword in node.keywords)]


def _members(folder: Path) -> tuple[str, ...]:
    files = [path for path in folder.glob("*.py") if not path.name.startswith("_")]
    folders = [path for path in folder.iterdir() if (path / "__init__.py").is_file()]
    return tuple(sorted(path.stem for path in [*files, *folders]))
