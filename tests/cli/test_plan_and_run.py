"""`whorl plan` and `whorl run` on a river of three stages, in processes of their own."""

import json

from toy_project import TRUST

NAMES = ["lines", "climb", "marks"]


def test_a_plan_of_nothing_made_says_not_measured_and_makes_nothing(shell):
    said = shell("plan", *TRUST)
    assert said.code == 0
    assert "3 of 3 stages to do: time not measured yet for lines, climb, marks" in said.out
    assert not (shell.root / ".whorl").exists()


def test_a_plan_names_the_field_that_changed_and_what_depends_on_it(done):
    said = done("plan", *TRUST, "stages.climb.steps=5")
    rows = {line.split()[0]: line for line in said.out.splitlines() if line.split()[:1] and line.split()[0] in NAMES}
    assert "cached" in rows["lines"]
    assert "steps: 3 -> 5" in rows["climb"]
    assert "waits for climb" in rows["marks"]
    assert "2 of 3 stages to do" in said.out


def test_a_plan_s_document_says_the_same(done):
    document = done("plan", *TRUST, "stages.climb.steps=5", "--json").document
    assert [(stage["stage"], stage["state"]) for stage in document["stages"]] == list(
        zip(NAMES, ["cached", "stale", "depends"], strict=True)
    )
    assert document["stages"][1]["why"] == ["steps: 3 -> 5"]


def test_why_shows_one_stage_and_refuses_a_stage_that_is_not_there(done):
    assert "  factor: 1 -> 2" in done("plan", *TRUST, "stages.lines.factor=2", "--why", "lines").out
    assert "nothing differs" in done("plan", *TRUST, "--why", "lines").out
    said = done("plan", *TRUST, "--why", "clim")
    assert (said.code, "did you mean 'climb'?" in said.err) == (3, True)


def test_a_wrong_recipe_is_one_line_with_file_and_line(shell):
    (shell.root / "recipe.yaml").write_text((shell.root / "recipe.yaml").read_text().replace("steps", "stesp"))
    said = shell("plan", *TRUST)
    assert said.code == 3
    assert said.err == "error: recipe.yaml:5: stages.climb.stesp: unknown key; did you mean 'steps'?\n"


def test_code_from_outside_wants_trust(shell):
    said = shell("run")
    assert said.code == 3
    assert "--trust toy_project" in said.err


def test_a_run_tells_every_stage_once_and_what_to_try_next_and_a_second_one_makes_nothing(shell):
    said = shell("run", *TRUST)
    assert said.code == 0
    lines = [line.split() for line in said.out.splitlines()]
    assert [words[:2] for words in lines if words[:1] and words[0] in ("1/3", "2/3", "3/3")] == [
        ["1/3", "lines"],
        ["2/3", "climb"],
        ["3/3", "marks"],
    ]
    assert "warning: numbers are only numbers" in said.out
    assert "3 made, 0 cached" in said.out
    assert "climb@1  checkpoint" in said.out
    assert "  whorl chat climb\n  whorl show marks\n  whorl trace marks\n" in said.out
    again = shell("run", *TRUST, "--to", "climb")
    assert "everything was up to date" in again.out
    assert "3/3" not in again.out


def test_a_run_with_json_is_events_as_lines_and_the_outcome_last(done):
    said = done("run", *TRUST, "stages.climb.steps=4", "--json", "--strict")
    assert said.code == 0
    kinds = [line["kind"] for line in said.lines[:-1]]
    assert kinds[0] == "stage_cached"
    assert "progress" in kinds
    outcome = said.lines[-1]
    assert (outcome["outcome"], outcome["made"]) == ("finished", ["climb", "marks"])
    assert outcome["artifacts"]["climb"]["counts"] == {"top": 16}
    assert outcome["grades"][0]["predicted_s"] is not None


def test_predicted_and_actual_stand_side_by_side_when_a_stage_runs_again(done):
    said = done("run", *TRUST, "stages.climb.steps=4", "--from", "climb")
    assert said.code == 0
    header = next(line for line in said.out.splitlines() if line.startswith("stage"))
    assert header.split() == ["stage", "predicted", "took", "error"]


def test_a_failing_stage_is_one_line_and_exit_code_1(shell):
    (shell.root / "numbers.txt").write_text("three")
    said = shell("run", *TRUST, "--json")
    assert said.code == 1
    assert said.err == "error: numbers.txt: not all numbers\n"
    assert said.lines[-1] == {"error": "DataError", "message": "numbers.txt: not all numbers", "exit_code": 1}
    assert [line["kind"] for line in said.lines[:-1]][-1] == "run_ended"


def test_the_project_is_the_recipe_s_folder_wherever_one_stands(done, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    said = done("run", str(done.root), *TRUST)
    assert "everything was up to date" in said.out
    assert f"cd {done.root}\n" in said.out


def test_config_show_prints_what_would_be_read(shell):
    document = shell("config", "show", *TRUST, "stages.climb.steps=9", "--json").document
    assert document["stages"]["climb"] == {
        "use": "toy_project:Climb",
        "from": "lines",
        "steps": 9,
        "pause_s": 0.0,
        "is_deaf": False,
    }
    assert "steps: 3\n" in shell("config", "show", *TRUST).out


def test_config_schema_knows_the_house(shell):
    schema = json.loads(shell("config", "schema").out)
    assert "stages" in schema["properties"]
    assert "corpus.collect" in json.dumps(schema)
