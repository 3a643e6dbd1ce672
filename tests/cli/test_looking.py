"""`ls show trace verify gc adopt doctor`: what a finished project says about itself."""

import json
import sqlite3

import pytest
from toy_project import TRUST

from whorl.flow.workspace import Workspace


def run_id(shell):
    return Workspace(shell.root).runs()[-1]


def altered(shell):
    file = Workspace(shell.root).find("climb").path / "top.json"
    file.chmod(0o644)
    file.write_text("99")
    return file


def test_ls_lists_names_and_runs(done):
    said = done("ls")
    assert said.code == 0
    assert [line.split()[:2] for line in said.out.splitlines()[1:4]] == [
        ["climb@1", "checkpoint"],
        ["lines@1", "documents"],
        ["marks@1", "report"],
    ]
    assert f"{run_id(done)}  finished" in said.out
    document = done("ls", "--json").document
    assert {row["name"]: row["stage"] for row in document["names"]}["climb@1"] == "toy_project:Climb"
    assert document["runs"][0]["made"] == ["lines", "climb", "marks"]


def test_ls_of_an_empty_project_says_how_to_begin(shell):
    said = shell("ls")
    assert (said.code, "begin with: whorl init --template demo" in said.out) == (0, True)
    assert shell("ls", "--json").document["names"] == []


def test_ls_shows_a_name_whose_artifact_is_gone_and_older_versions_when_asked(done):
    done("run", *TRUST, "stages.lines.factor=2", "--to", "lines")
    done("gc", "--apply", "--yes")
    names = [row["name"] for row in done("ls", "--json").document["names"]]
    assert "lines@2" in names
    assert "lines@1" not in names
    every = {row["name"]: row["is_present"] for row in done("ls", "--all", "--json").document["names"]}
    assert every["lines@2"]
    assert "lines@1" in every


def test_show_of_an_artifact_says_what_it_is_and_what_it_was_made_from(done):
    said = done("show", "climb")
    for part in ("toy_project:Climb, code version 1", "steps  3", "from       lines  documents", "top.json"):
        assert " ".join(part.split()) in " ".join(said.out.split())
    document = done("show", "climb@1", "--json").document
    assert document["counts"] == {"top": 15}
    assert document["parents"]["from"]["ref"] == "lines"


def test_show_of_a_report_draws_its_figures_with_their_intervals(done):
    said = " ".join(done("show", "marks").out.split())
    assert "after 1.627 not measured 12 documents" in said
    assert "count to the top 0.0 75.0 70.0 to 80.0 25.0 300" in said
    assert "how high is 15? 15 15 right" in said
    assert done("show", "marks", "--json").document["report"]["skills"][0]["use"] == "count"


def test_show_of_a_run_sums_it_up(done):
    said = done("show", run_id(done))
    assert "finished" in said.out
    assert "warning: numbers are only numbers" in said.out
    document = done("show", run_id(done), "--json").document
    assert [row["stage"] for row in document["stages"]] == ["lines", "climb", "marks"]
    assert document["about"]["machine"]["cores"] >= 1


def test_a_name_that_is_not_there_suggests_one_that_is(done):
    said = done("show", "clim")
    assert (said.code, said.err) == (1, f"error: nothing called 'clim' in {done.root}; did you mean 'climb'?\n")


def test_trace_walks_to_the_raw_file(done):
    words = done("trace", "marks").out.split()
    assert [word for word in words if word in ("marks@1", "climb@1", "lines@1", "path")] == [
        "marks@1",
        "climb@1",
        "lines@1",
        "path",
    ]
    step = done("trace", "marks", "--json").document
    assert list(step["parents"][0]["parents"][0]["raw"]) == ["path"]


def test_verify_finds_what_was_altered_and_exits_1(done):
    assert done("verify").code == 0
    altered(done)
    said = done("verify", "--json")
    assert said.code == 1
    assert [fault["what"] for fault in said.document["faults"]] == ["top.json: content differs from the manifest"]
    assert done("verify", "lines").code == 0
    assert "1 fault\n" in done("verify", "climb").out


def test_gc_only_plans_unless_told_and_never_touches_the_newest(done):
    done("run", *TRUST, "stages.climb.steps=4")
    planned = done("gc", "--json").document
    assert planned["is_applied"] is False
    assert {item["what"].split()[0] for item in planned["swept"]} == {"checkpoint", "report"}
    assert done("gc").out.count("climb@1") == 1
    applied = done("gc", "--apply", "--yes", "--json").document
    assert applied["size_bytes"] == planned["size_bytes"]
    assert done("gc", "--json").document["swept"] == []
    assert done("run", *TRUST, "stages.climb.steps=4", "--json").lines[-1]["made"] == []


def test_gc_asks_before_it_deletes_and_no_means_no(done, monkeypatch):
    done("run", *TRUST, "stages.climb.steps=4")
    monkeypatch.setattr("typer.confirm", refuse)
    said = done("gc", "--apply")
    assert (said.code, said.err) == (1, "error: nothing was done\n")
    assert done("gc", "--json").document["swept"]
    assert done("gc", "--apply", "--json").code == 3


def refuse(text, *, abort, err):
    import typer  # noqa: PLC0415 - stands in for a question on the terminal

    raise typer.Abort


def test_adopt_brings_in_a_file_under_a_name_once(shell):
    (shell.root / "chats.jsonl").write_text('{"messages": []}\n')
    first = shell("adopt", "chats.jsonl", "--as", "dialogues", "--name", "chats", "--json").document
    again = shell("adopt", "chats.jsonl", "--as", "dialogues", "--name", "chats")
    assert first["name"] == "chats@1"
    assert f"adopted chats.jsonl as chats@1: dialogues {first['fingerprint'][:12]}" in again.out
    assert shell("adopt", "chats.jsonl", "--as", "dialogue").code == 3
    assert shell("adopt", "nothing.jsonl", "--as", "dialogues").code == 1


def states(shell):
    return {row["what"]: row["state"] for row in shell("doctor", *TRUST, "--json").document["findings"]}


def test_doctor_finds_a_sound_project_sound(done):
    found = states(done)
    assert {found[name] for name in ("python", "torch", "events", "store", "leases", "unfinished", "names", "recipe")} == {"ok"}
    assert done("doctor", *TRUST).code == 0


def test_doctor_names_unfinished_work_dead_writers_and_a_wrong_recipe_each_with_a_fix(done):
    store = done.root / ".whorl" / "store" / "checkpoint"
    (store / f"{'a' * 64}.3.partial").mkdir()
    lease = {"host": "elsewhere", "pid": 7, "started": "1", "token": 3, "beat": 0.0}
    (done.root / ".whorl" / "leases" / f"checkpoint-{'a' * 64}.json").write_text(json.dumps(lease))
    (done.root / "recipe.yaml").write_text("name: toy\n")
    said = done("doctor")
    assert said.code == 1
    text = " ".join(said.out.split())
    assert "1 of dead processes" in text
    assert "finish them: whorl run; or free them: whorl gc --apply" in text
    assert "stages: missing, and there is no default" in text
    assert states(done)["unfinished"] == "warn"


@pytest.mark.parametrize("content", [b"not a database at all", b""])
def test_doctor_notices_an_events_database_that_cannot_be_read(done, content):
    for path in (done.root / ".whorl").glob("events.sqlite*"):
        path.unlink()
    (done.root / ".whorl" / "events.sqlite").write_bytes(content)
    assert states(done)["events"] == "fail"


def test_doctor_counts_the_events_of_a_sound_database(done):
    with sqlite3.connect(done.root / ".whorl" / "events.sqlite") as db:
        [count] = db.execute("select count(*) from events").fetchone()
    assert f"{count} events of 1 runs" in done("doctor").out


def test_doctor_notices_a_manifest_that_is_no_json(done):
    manifest = Workspace(done.root).find("climb").path / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_text("{")
    assert states(done)["store"] == "fail"
