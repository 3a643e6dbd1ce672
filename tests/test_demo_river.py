"""The demo's own recipe, every stage end to end at toy size, with the network closed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

DEMO = Path(__file__).parents[1] / "recipes" / "demo.yaml"


def toy_recipe() -> dict:
    """The demo with everything kept but the amounts."""
    recipe = yaml.safe_load(DEMO.read_text())
    stages = recipe["stages"]
    stages["base"] |= {"length": "12 steps", "watch": {"every": 6, "documents": 4}, "threads": 1}
    stages["chat"] |= {"length": "6 steps", "watch": None, "threads": 1}
    stages["talk"] |= {"greetings": 20}
    for portion in stages["talk"]["tasks"]:
        portion |= {"count": 60, "held_out": 5}
    stages["exam"] |= {"count": 4}
    return recipe


def closed() -> list[str]:
    """A prefix that starts a command in a network namespace with no way out, where the system allows one."""
    prefix = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") is None:
        return []
    return prefix if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0 else []


def whorl(root: Path, *arguments: str) -> str:
    command = [*closed(), sys.executable, "-m", "whorl", *arguments]
    environment = {**os.environ, "HOME": str(root)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.timeout(300)
def test_the_demo_runs_without_a_single_connection_and_leaves_an_examined_model_that_can_be_traced(tmp_path):
    project = tmp_path / "demo"
    project.mkdir()
    (project / "recipe.yaml").write_text(yaml.safe_dump(toy_recipe(), sort_keys=False))

    outcome = json.loads(whorl(tmp_path, "demo", "--into", "demo", "--offline", "--json").splitlines()[-1])

    assert list(outcome["artifacts"]) == ["pages", "clean", "vocab", "ids", "base", "talk", "chat", "exam"]
    figures = {figure["of"]: figure["value"] for figure in outcome["report"]["suites"][0]["figures"]}
    assert set(figures) == {"base", "chat", "untrained", "uniform", "ngram", "xz"}
    assert figures["base"] < figures["untrained"] < figures["uniform"] == 8.0
    assert figures["ngram"] > figures["xz"]
    assert {skill["n"] for skill in outcome["report"]["skills"]} == {4}

    again = json.loads(whorl(tmp_path, "demo", "--into", "demo", "--offline", "--json").splitlines()[-1])
    assert again["stages"] == {}
    assert again["artifacts"] == outcome["artifacts"]

    traced = whorl(tmp_path, "trace", "exam", "-C", "demo")
    assert "corpus.collect" in traced
    assert "all as it should be" in whorl(tmp_path, "verify", "-C", "demo")
    assert whorl(tmp_path, "chat", "chat", "-C", "demo", "--once", "Reverse: c a t").strip() != "Reverse: c a t"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo"]  # nothing outside the project
