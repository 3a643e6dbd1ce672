"""`init` and `demo`: what a new project holds, and that nothing of the user's is ever overwritten."""

import json

import pytest
from toy_project import RECIPE

from whorl.cli import project
from whorl.cli.project import recipes_folder
from whorl.core.errors import ArtifactError
from whorl.flow.recipe import load_recipe
from whorl.flow.run import RunOptions, run_recipe

HEADER = "# yaml-language-server: $schema=./.whorl/recipe.schema.json\n"


@pytest.fixture
def shop(shell, tmp_path, monkeypatch):
    """A place without a recipe, where the toy river is what the demo runs, its stages trusted and in this process."""
    folder = tmp_path / "packaged"
    folder.mkdir()
    (folder / "demo.yaml").write_text(RECIPE)
    monkeypatch.setattr(project, "recipes_folder", lambda: folder)
    (shell.root / "recipe.yaml").unlink()

    def trusted(path, overrides, trust):
        (path / "numbers.txt").write_text("3 4 5")
        return load_recipe(path, overrides, trust=["toy_project"])

    def inline(recipe, workspace, options):
        chosen = RunOptions(launcher="inline", trust=("toy_project",), workers=1, on_event=options.on_event)
        return run_recipe(recipe, workspace, chosen)

    monkeypatch.setattr("whorl.cli.river.load_recipe", trusted)
    monkeypatch.setattr("whorl.cli.river.run_recipe", inline)
    return shell


@pytest.mark.parametrize("template", ["text", "demo", "web"])
def test_a_new_project_holds_a_recipe_with_its_schema_and_ignores_what_runs_make(shell, template, tmp_path):
    said = shell("init", "fresh", "--template", template)
    assert said.code == 0, said.err
    fresh = shell.root / "fresh"
    assert (fresh / "recipe.yaml").read_text().startswith(HEADER)
    assert ".whorl/" in (fresh / ".gitignore").read_text()
    schema = json.loads((fresh / ".whorl" / "recipe.schema.json").read_text())
    assert "stages" in schema["properties"]
    assert "  cd fresh\n  whorl plan\n  whorl run\n" in said.out


def test_the_text_recipe_can_be_planned_on_texts_of_one_s_own(shell):
    shell("init", "fresh")
    (shell.root / "fresh" / "docs" / "deep").mkdir(parents=True)
    (shell.root / "fresh" / "docs" / "deep" / "one.txt").write_text("A text of my own.\n")
    said = shell("plan", "fresh", "--json")
    assert said.code == 0, said.err
    assert {stage["state"] for stage in said.document["stages"]} == {"new"}


def test_without_texts_the_plan_says_where_they_go(shell):
    shell("init", "fresh")
    said = shell("plan", "fresh")
    assert said.code == 1
    assert "no file matches 'docs/**/*.txt'" in said.err


def test_init_refuses_to_touch_a_recipe(shell):
    before = (shell.root / "recipe.yaml").read_text()
    said = shell("init")
    assert (said.code, "is there already and is not overwritten" in said.err) == (3, True)
    assert (shell.root / "recipe.yaml").read_text() == before


def test_init_keeps_a_gitignore_that_is_there(shell):
    (shell.root / "fresh").mkdir()
    (shell.root / "fresh" / ".gitignore").write_text("mine\n")
    assert shell("init", "fresh", "--json").document["kept"] == [".gitignore"]
    assert (shell.root / "fresh" / ".gitignore").read_text() == "mine\n"


def test_an_installation_without_recipes_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("whorl.__path__", [str(tmp_path / "src" / "whorl")])
    with pytest.raises(ArtifactError, match="no recipes in"):
        recipes_folder()


def test_recipes_inside_the_package_come_before_those_of_a_checkout(monkeypatch, tmp_path):
    package = tmp_path / "src" / "whorl"
    (tmp_path / "recipes").mkdir()
    monkeypatch.setattr("whorl.__path__", [str(package)])
    assert recipes_folder() == tmp_path / "recipes"
    (package / "recipes").mkdir(parents=True)
    assert recipes_folder() == package / "recipes"


def test_the_demo_leaves_a_project_and_shows_figures_answers_and_times(shop):
    said = shop("demo", "--into", "pocket")
    assert said.code == 0, said.err
    assert (shop.root / "pocket" / "recipe.yaml").read_text() == HEADER + RECIPE
    words = " ".join(said.out.split())
    assert "count to the top 0.0 75.0 70.0 to 80.0" in words
    assert "how high is 15? 15 15 right" in words
    assert "in all" in words
    assert said.out.endswith("try next:\n  cd pocket\n  whorl chat climb\n  whorl show marks\n  whorl trace marks\n")


def test_the_demo_a_second_time_finds_everything_done(shop):
    shop("demo")
    assert "everything was up to date" in shop("demo").out
    said = shop("demo", "--json")
    assert said.code == 0
    assert {line["kind"] for line in said.lines[:-1]} == {"stage_cached", "run_ended"}
    outcome = said.lines[-1]
    assert outcome["stages"] == {}
    assert outcome["report"]["skills"][0]["use"] == "count"


def test_the_demo_runs_a_changed_recipe_as_it_is_and_says_so(shop):
    shop("demo")
    changed = (shop.root / "demo" / "recipe.yaml").read_text().replace("steps: 3", "steps: 4")
    (shop.root / "demo" / "recipe.yaml").write_text(changed)
    said = shop("demo")
    assert "demo/recipe.yaml differs from the demo's and is kept: this runs yours" in said.err
    assert (shop.root / "demo" / "recipe.yaml").read_text() == changed
    assert "how high is 16?" in said.out
