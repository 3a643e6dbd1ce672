"""The toy project as fixtures; this folder can be imported from, also by the processes that stages run in."""

import shutil
import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)
sys.path.insert(0, HERE)

from toy_project import Shell, made_project, make_project  # noqa: E402 - found on the line above


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", HERE)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("FORCE_COLOR", raising=False)


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    """A project that has not run yet."""
    root = make_project(tmp_path / "project")
    monkeypatch.chdir(root)
    return Shell(root, capsys)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    return made_project(tmp_path_factory.mktemp("finished") / "project")


@pytest.fixture
def done(finished, tmp_path, monkeypatch, capsys):
    """A project of one's own in which everything has run."""
    root = tmp_path / "project"
    shutil.copytree(finished, root)
    monkeypatch.chdir(root)
    return Shell(root, capsys)
