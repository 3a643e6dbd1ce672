"""Every import contract of the house is planted a violation in a copy of the sources, and must see it."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from doors import HOUSE, ROOT, doors

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
ROOMS = ("corpus", "train", "evals", "compress", "serve", "watch", "govern")
TORCHLESS = ("core", "text", "tokens", "tasks", "measure", "flow", "cli", "watch", "govern")


def contract(contract_id: str) -> dict:
    (found,) = (found for found in CONTRACTS if found["id"] == contract_id)
    return found


def lint(root: Path, *contract_ids: str) -> subprocess.CompletedProcess[str]:
    chosen = [part for contract_id in contract_ids for part in ("--contract", contract_id)]
    return subprocess.run(
        [
            Path(sys.executable).with_name("lint-imports"),
            "--no-cache",
            "--no-logo",
            "--config",
            root / "pyproject.toml",
            *chosen,
        ],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / "pyproject.toml", root)
    return root / "src" / "whorl"


def two_members() -> tuple[str, str]:
    door = next(door for door in doors() if len(door.members) > 1 and not door.package.endswith(".stages"))
    return f"{door.package}.{door.members[0]}", f"{door.package}.{door.members[1]}"


def file_of(house: Path, module: str) -> Path:
    path = house.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def upwards(house: Path) -> dict[Path, str]:
    return {house / "core" / "planted.py": "import whorl.flow"}


def room_to_room(house: Path) -> dict[Path, str]:
    return {house / "train" / "planted.py": "import whorl.evals"}


def kit_to_kit(house: Path) -> dict[Path, str]:
    return {house / "tasks" / "planted.py": "import whorl.model"}


def unplaced(house: Path) -> dict[Path, str]:
    return {house / "leftovers" / "__init__.py": ""}


def torch_in_core(house: Path) -> dict[Path, str]:
    return {house / "core" / "planted.py": "import torch"}


def torch_through_others(house: Path) -> dict[Path, str]:
    return {house / "flow" / "planted.py": "import whorl.model.planted", house / "model" / "planted.py": "from torch import nn"}


def flow_to_room(house: Path) -> dict[Path, str]:
    return {house / "flow" / "planted.py": "import whorl.corpus"}


def member_to_member(house: Path) -> dict[Path, str]:
    one, other = two_members()
    return {file_of(house, one): f"import {other}"}


def somebody_to_member(house: Path) -> dict[Path, str]:
    return {house / "flow" / "planted.py": f"import {two_members()[0]}"}


def a_circle(house: Path) -> dict[Path, str]:
    return {house / "core" / "one.py": "import whorl.core.other", house / "core" / "other.py": "import whorl.core.one"}


@pytest.mark.parametrize(
    ("broken", "violation"),
    [
        ("layers", upwards),
        ("layers", room_to_room),
        ("layers", kit_to_kit),
        ("layers", unplaced),
        ("torchless", torch_in_core),
        ("torchless", torch_through_others),
        ("rooms_by_name", flow_to_room),
        ("strangers", member_to_member),
        ("by_name", somebody_to_member),
        ("no_circles", a_circle),
    ],
)
def test_a_planted_violation_is_caught(house: Path, broken: str, violation: Callable[[Path], dict[Path, str]]) -> None:
    planted = violation(house)
    before = {path: path.read_text() if path.exists() else None for path in planted}
    try:
        for path, text in planted.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{before[path] or ''}\n{text}\n")
        result = lint(house.parents[1], broken)
    finally:
        for path, text in before.items():
            path.unlink() if text is None else path.write_text(text)
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"{contract(broken)['name']} BROKEN" in result.stdout


def test_without_a_violation_every_contract_is_kept(house: Path) -> None:
    shutil.rmtree(house / "leftovers", ignore_errors=True)
    result = lint(house.parents[1])
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in result.stdout


def test_every_door_is_under_contract() -> None:
    folders = {f"{door.package}.*" if not door.package.endswith(".stages") else "whorl.*.stages.*" for door in doors()}
    assert folders <= set(contract("strangers")["modules"])
    assert folders <= set(contract("by_name")["protected_modules"])


@pytest.mark.parametrize(
    ("contract_id", "field", "places"),
    [("torchless", "source_modules", TORCHLESS), ("rooms_by_name", "protected_modules", ROOMS)],
)
def test_every_place_that_should_be_is_under_contract(contract_id: str, field: str, places: tuple[str, ...]) -> None:
    present = {f"whorl.{place}" for place in places if (HOUSE / place / "__init__.py").is_file()}
    assert present == set(contract(contract_id)[field])
