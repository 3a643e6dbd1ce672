"""`generate --beams`: with a model that says everything backwards, and with a real one."""

import json

import pytest
from toy_speaker import Parrot


@pytest.fixture
def model(monkeypatch):
    parrot = Parrot()
    monkeypatch.setattr("whorl.api.load", lambda checkpoint, project, **how: parrot)
    return parrot


@pytest.fixture
def ask(done, model):
    return lambda *arguments: done("generate", *arguments, "--model", "climb")


def test_the_best_answers_are_told_with_their_scores(ask, model):
    lines = ask("ab", "--beams", "3", "-n", "2", "--length-penalty", "2", "--json").lines
    assert [(line["answer"], line["beams"], line["score"], line["text"]) for line in lines] == [
        (0, 3, -1.0, "ba"),
        (1, 3, -2.0, "ba"),
    ]
    assert lines[0]["num_cached"] is None
    assert len(model.asked_for) == 1
    assert ask("ab", "--beams", "1").out == "ba\n"


def test_prompts_of_a_file_are_searched_one_after_the_other_and_one_that_fails_stays_alone(ask, tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": text, "id": text}) + "\n" for text in ("ab", "a?", "cd")))
    said = ask("--prompts", str(path), "--beams", "3", "-n", "2", "--json")
    assert said.code == 1
    assert [(line["prompt"], line["answer"], line["finish"]) for line in said.lines] == [
        ("ab", 0, "stop"),
        ("ab", 1, "stop"),
        ("a?", 0, "error"),
        ("cd", 0, "stop"),
        ("cd", 1, "stop"),
    ]
    assert said.lines[2]["error"] == "too many beams"
    assert "a?: too many beams" in said.err


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["-t", "0.5"], "--temperature (nothing is drawn)"),
        (["--top-k", "5"], "--top-k (nothing is drawn)"),
        (["--top-p", "0.5"], "--top-p (nothing is drawn)"),
        (["--min-p", "0.5"], "--min-p (nothing is drawn)"),
        (["--seed", "5"], "--seed (nothing is drawn)"),
        (["--repetition-penalty", "1.5"], "--repetition-penalty (answers are ranked by the model's own probabilities)"),
        (["--presence-penalty", "1"], "--presence-penalty (answers"),
        (["--frequency-penalty", "1"], "--frequency-penalty (answers"),
        (["--stop", "a"], "--stop (a search ends answers at the model's own stop tokens)"),
        (["--regex", "a"], "--regex (a search is held to no structure)"),
        (["--choice", "a", "--logprobs", "1"], "--choice (a search is held to no structure), --logprobs (answers have a score"),
        (["--schema", "a.json", "--unbounded"], "--schema (a search is held to no structure), --unbounded (a search"),
        (["--drafts", "text"], "--drafts (guesses are of one answer that is said in order)"),
        (["-n", "5"], "-n 5 with --beams 4: a search finds one answer for each beam; want -n 4 or more beams"),
    ],
)
def test_options_that_mean_nothing_in_a_search_are_refused_with_the_reason(ask, model, options, fault):
    said = ask("ab", "--beams", "4", *options)
    assert (said.code, fault in said.err, said.out) == (3, True, ""), said.err
    assert model.asked_for == []


def test_a_length_penalty_without_a_search_is_refused(ask):
    said = ask("ab", "--length-penalty", "2")
    assert (said.code, "--length-penalty goes with --beams" in said.err) == (3, True)


def test_no_beams_at_all_are_refused(ask):
    assert ask("ab", "--beams", "0").code == 3
