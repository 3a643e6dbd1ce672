import json

import pytest

from whorl.core.errors import DataError
from whorl.flow.recipe import load_recipe
from whorl.flow.run import RunOptions, run_recipe
from whorl.flow.run_page import run_page
from whorl.flow.workspace import Workspace

ABOUT = {
    "began": "2027-01-01T00:00:00+0000",
    "python": "3.12",
    "packages": {"torch": "2.11"},
    "machine": {"system": "Linux", "processor": "a processor", "cores": 2},
    "git": "abc",
}
TELEMETRY = {
    "kind": "setting",
    "stage": "base",
    "name": "telemetry",
    "peak": "bf16 matmul 2048^3, 2 threads, measured 0.98 TFLOP/s",
    "vendor_peak_flops": 989e12,
    "flops_per_token": 32_000_000,
    "recomputed_flops_per_token": 8_000_000,
    "memory": "resident pages",
    "energy": "estimated from 65 W",
}


def metric(step, **figures):
    return {"time": 1.0, "kind": "metric", "stage": "base", "step": step, **figures}


def sample(step, text, prompt="the loom"):
    return {"kind": "sample", "stage": "base", "step": step, "number": 0, "prompt": prompt, "text": text}


def cards(page):
    """Title, last value and curve of every card, in order."""
    pieces = page.split('<div class="card">')[1:]
    return [
        (
            piece.split('title">')[1].split("<")[0],
            piece.split('last">')[1].split("<")[0],
            piece.split('points="')[1].split('"')[0],
        )
        for piece in pieces
    ]


def test_every_figure_of_training_has_a_card_with_its_unit_and_its_curve():
    told = {"loss": 4.0, "mfu": 0.2, "memory_bytes": 1.5e9, "energy_wh": 0.1, "tokens_per_s": 20_000.0, "rate_muon": 0.02}
    last = {"loss": 2.0, "mfu": 0.4, "memory_bytes": 2e9, "energy_wh": 0.25, "tokens_per_s": 40_000.0, "rate_muon": 0.01}
    page = run_page("r", ABOUT, [metric(10, **told), metric(20, **last), metric(30, **last)])
    assert cards(page) == [
        ("training loss, nats per target", "2", "0.00,2.00 50.00,38.00 100.00,38.00"),
        ("tokens a second", "40,000", "0.00,20.00 50.00,2.00 100.00,2.00"),
        ("MFU: share of the measured peak", "40.0 %", "0.00,20.00 50.00,2.00 100.00,2.00"),
        ("most memory so far", "2 GB", "0.00,11.00 50.00,2.00 100.00,2.00"),
        ("energy so far", "0.25 Wh", "0.00,23.60 50.00,2.00 100.00,2.00"),
        ("learning rate, muon", "0.01", "0.00,2.00 50.00,20.00 100.00,20.00"),
    ]


def test_shares_say_what_they_are_of():
    page = run_page("r", ABOUT, [TELEMETRY, metric(1, loss=1.0)])
    assert "Shares are of bf16 matmul 2048^3, 2 threads, measured 0.98 TFLOP/s; the vendor's dense peak is 989" in page
    assert "takes 32 MFLOP a token and computes 8 again" in page
    assert "Energy: estimated from 65 W" in page


def test_what_was_not_told_is_not_on_the_page():
    page = run_page("r", ABOUT, [metric(1, loss=1.0), {**metric(2), "probe_step_s": float("nan")}])
    assert [card[0] for card in cards(page)] == ["training loss, nats per target"]
    assert "Shares are of" not in page
    assert "What it said" not in page
    assert "no end recorded" in page


def test_answers_are_shown_by_prompt_escaped_and_few_of_many():
    events = [metric(1, loss=1.0), *(sample(step, f"<b>{step}</b>") for step in range(0, 101, 10)), sample(0, "", "wool")]
    page = run_page("r", ABOUT, events)
    assert "&lt;b&gt;100&lt;/b&gt;" in page
    assert "<b>" not in page
    assert page.count("&lt;b&gt;") == 6
    assert "(nothing)" in page


def test_a_run_that_trained_nothing_has_its_stages_and_its_end():
    finished = {"kind": "stage_finished", "stage": "clean", "seconds": 90.0, "memory_bytes": 2.5e8, "disk_bytes": 1200}
    ended = {"kind": "run_ended", "status": "finished", "seconds": 7200.0}
    page = run_page("r", ABOUT, [finished, {"kind": "stage_cached", "stage": "ids"}, ended])
    assert '<strong class="finished">finished</strong> in 2.00 h' in page
    for shown in ("<strong>clean</strong>", "1.5 min", "250 MB", "1.2 kB", "<strong>ids</strong>", "not measured"):
        assert shown in page
    assert "Training" not in page


def test_a_run_leaves_its_page_beside_its_events(project):
    workspace = Workspace(project)
    outcome = run_recipe(load_recipe(project / "recipe.yaml", trust=["toy_river"]), workspace, RunOptions(trust=("toy_river",)))
    page = (workspace.run_folder(outcome.run) / "report.html").read_text()
    assert f"Run {outcome.run}" in page
    assert page.count('class="finished">finished') == 4  # three stages and the run


def test_a_run_that_failed_leaves_a_page_that_says_why(project):
    (project / "numbers.txt").write_text("three\n")
    workspace = Workspace(project)
    with pytest.raises(DataError):
        run_recipe(load_recipe(project / "recipe.yaml", trust=["toy_river"]), workspace, RunOptions(trust=("toy_river",)))
    (run,) = workspace.runs()
    page = (workspace.run_folder(run) / "report.html").read_text()
    assert 'class="failed">failed</strong>' in page
    assert "three" in page
    assert json.loads((workspace.run_folder(run) / "run.json").read_text())["machine"]["processor"] in page
