"""`bench decode`: what it asks of the gauge, and how it draws the answer."""

import json

import pytest

from whorl.flow.workspace import Workspace

PACE = {
    "streams": 1,
    "tokens_per_s": 123.4,
    "spread": (120.0, 125.5),
    "step_s": 0.0081,
    "first_token_s": 0.05,
    "prefill_tokens_per_s": 2560.0,
    "bytes_per_s": 3.0e10,
    "mbu": 0.654,
}
FOUND = {
    "model": {"name": "climb", "family": "llama", "parameters": 168_846_336},
    "weights": {"format": "int8", "read_bytes_per_token": 304_140_458},
    "cache": {"bytes_per_token": 12_288, "room_bytes": 50_724_864},
    "roof": {
        "bytes_per_s": 4.6e10,
        "by_way": {"plain read": 4.6e10},
        "how": "plain read of 304 MB, 2 threads, measured 46 GB/s",
    },
    "load": {"prompt": 128, "answer": 64, "rounds": 3},
    "paces": [PACE, {**PACE, "streams": 8, "bytes_per_s": None, "mbu": None}],
    "peak_memory_bytes": {"resident": 1_036_963_840},
}


@pytest.fixture
def asked(monkeypatch):
    calls = []

    def gauged(what, *, weights, asked):
        calls.append((what, weights, asked))
        return FOUND

    monkeypatch.setattr("whorl.infer.gauge.gauged", gauged)
    return calls


def test_without_a_name_the_checkpoint_made_last_is_measured(done, asked):
    assert done("bench", "decode").code == 0
    assert asked == [(Workspace(done.root).find("climb").path, "auto", {"streams": (1, 4, 8), "prompt": None, "answer": None})]


def test_what_is_asked_for_is_what_is_measured(done, asked, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    options = ("--streams", "2, 16", "--prompt", "32", "--answer", "9", "--weights", "int8")
    assert done("bench", "decode", str(tmp_path), *options).code == 0
    assert asked == [(tmp_path, "int8", {"streams": (2, 16), "prompt": 32, "answer": 9})]


def test_dials_in_braces_are_a_model_that_nobody_trained(shell, asked):
    assert shell("bench", "decode", "{use: llama, depth: 12, vocabulary: 4096}").code == 0
    assert asked[0][0] == {"use": "llama", "depth": 12, "vocabulary": 4096}


def test_a_person_gets_rates_memory_and_the_name_of_the_roof(done, asked):
    said = done("bench", "decode").out
    assert "climb, llama, 168,846,336 parameters" in said
    assert "int8, 304 MB read for a token" in said
    assert "12.3 kB a token, room for 50.7 MB" in said
    assert "1.04 GB resident" in said
    assert "plain read of 304 MB, 2 threads, measured 46 GB/s" in said
    one, eight = (line.split() for line in said.splitlines()[-2:])
    assert one == ["1", "123.4", "120", "to", "125.5", "8.10", "ms", "0.05", "s", "2560", "65%"]
    assert eight[0] == "8"
    assert eight[-2:] == ["not", "measured"]


def test_with_json_the_answer_is_one_document_and_the_last_line(done, asked):
    said = done("bench", "decode", "--json")
    assert json.loads(said.out.splitlines()[-1]) == json.loads(json.dumps(FOUND))
    assert said.out.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--streams", "1,x"], "--streams '1,x': want whole numbers of at least 1 with commas between, e.g. 1,4,8"),
        (["--streams", "0"], "want whole numbers of at least 1"),
        (["{1: 2}"], "'{1: 2}' are no dials; want {use: llama, depth: 12}"),
        (["{use: llama"], "is no value"),
        (["--answer", "1"], "'--answer'"),
        (["marks"], "'marks' is report, wanted checkpoint"),
    ],
)
def test_what_means_nothing_is_refused_before_anything_is_measured(done, asked, arguments, said):
    found = done("bench", "decode", *arguments)
    assert (found.code, said in found.err) == (3, True), found.err
    assert asked == []


def test_faults_of_a_shape_name_the_dial(shell):
    found = shell("bench", "decode", "{use: llama, dept: 12}")
    assert found.code == 3
    assert "dept" in found.err
