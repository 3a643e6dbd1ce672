"""A project folder with the toy river in it, its stages importable here and in worker processes."""

from pathlib import Path

import pytest

RECIPE = """\
name: toy
seed: 7
stages:
  lines: {use: 'toy_river:Lines', path: numbers.txt}
  walk: {use: 'toy_river:Walk', from: lines, steps: 12}
  parity: {use: 'toy_river:Parity', walk: walk}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    here = str(Path(__file__).parent)
    monkeypatch.syspath_prepend(here)
    monkeypatch.setenv("PYTHONPATH", here)
    root = tmp_path / "project"
    root.mkdir()
    (root / "recipe.yaml").write_text(RECIPE)
    (root / "numbers.txt").write_text("3\n4\n5\n")
    return root
