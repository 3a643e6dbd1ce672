"""CONTRIBUTING.md is carried out: the filter and the test it shows are put where it says, and must do what it says."""

import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from doors import ROOT

from whorl.core import door

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
FILTER, TEST = "src/whorl/corpus/filters/words_per_line.py", "tests/corpus/filters/test_words_per_line.py"


def forget() -> None:
    door.member_names.cache_clear()
    door._own_names.cache_clear()
    sys.modules.pop("whorl.corpus.filters.words_per_line", None)


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """File name -> file, for every Python block that follows a file name; the filter's folder is open to the door."""
    blocks = dict(re.findall(r"`((?:src|tests)/\S+\.py)`.*?```python\n(.*?)```", TEXT, re.DOTALL))
    files = {name: tmp_path / name for name in blocks}
    for name, path in files.items():
        assert not (ROOT / name).exists(), f"{name} is taken: show another example"
        path.parent.mkdir(parents=True)
        path.write_text(blocks[name])
    folders = import_module("whorl.corpus.filters").__path__
    folders.append(str(files[FILTER].parent))
    forget()
    yield files
    folders.remove(str(files[FILTER].parent))
    forget()


def test_the_filter_shown_passes_the_test_shown(shown: dict[str, Path]) -> None:
    assert list(shown) == [FILTER, TEST]
    tests = [value for name, value in runpy.run_path(str(shown[TEST])).items() if name.startswith("test_")]
    assert len(tests) == 1
    tests[0]()


def test_the_filter_shown_passes_the_linter(shown: dict[str, Path]) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    for action in (["check"], ["format", "--check"]):
        command = [ruff, *action, "--no-cache", "--config", ROOT / "pyproject.toml", shown[FILTER]]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_make_target_it_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z-]+)", TEXT)) <= targets
