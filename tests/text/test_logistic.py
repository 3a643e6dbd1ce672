"""Weights are those of an independent solver; what it gave is kept in tests/golden/text/logistic.json."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from bench.peers import peer_python

from whorl.text.batch import TextBatch
from whorl.text.hashed import Features, Rows, hashed_rows
from whorl.text.logistic import calibrated, fit_logistic, logistic, products

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "text" / "logistic.json"
PEER = ("scikit-learn==1.7.2", "numpy==2.3.5", "scipy==1.16.3")
LOSS_TOLERANCE = 1e-8
GRADIENT = 1e-6  # where ours stops; a weight may be off by about this over the curvature, which is at least l2


def problem():
    """240 short texts of made-up words, one in eight of which has the wrong label, and a cost for each."""
    chooser = np.random.default_rng(5)
    labels = chooser.random(240) < 0.4
    vocabulary = [[f"w{n}" for n in range(60)], [f"w{n}" for n in range(30, 90)]]
    texts = [" ".join(chooser.choice(vocabulary[int(label)], size=12)) for label in labels]
    labels ^= chooser.random(240) < 0.125
    rows = hashed_rows(TextBatch(pa.array(texts, pa.large_string())), Features(words=1, bits=12))
    return rows, labels, np.where(labels, 1.0, 2.0)


def stored():
    """The recorded problem and the peer's solution of it."""
    value = json.loads(GOLDEN.read_text())
    given = value["problem"]
    rows = Rows(np.array(given["first"]), np.array(given["places"], np.uint32), np.array(given["values"], np.float32))
    return rows, np.array(given["labels"]), np.array(given["costs"]), value["peer"]


def loss(rows, labels, costs, *, weights, bias, l2):
    agreement = np.where(labels, 1, -1) * (products(rows, weights) + bias)
    return (costs * np.logaddexp(0, -agreement)).sum() / costs.sum() + l2 / 2 * weights @ weights


@pytest.mark.parametrize("l2", ["0.01", "0.0001"])
def test_weights_equal_what_the_peer_was_recorded_to_find(l2):
    rows, labels, costs, peer = stored()
    fit = fit_logistic(rows, labels, costs, num_places=1 << 12, l2=float(l2))
    weights = np.zeros(1 << 12)
    weights[np.unique(rows.places)] = peer["solutions"][l2]["weights"]
    wanted = loss(rows, labels, costs, weights=weights, bias=peer["solutions"][l2]["bias"], l2=float(l2))
    assert fit.is_converged
    assert fit.loss == pytest.approx(wanted, abs=LOSS_TOLERANCE)
    assert np.abs(fit.weights - weights).max() < GRADIENT / float(l2)


@pytest.mark.parity
def test_the_peer_finds_the_recorded_weights(tmp_path):
    """Writes what the peer says when nothing is recorded; to record anew, delete tests/golden/text/logistic.json."""
    python = peer_python("linear", PEER)
    assert python, "the peer cannot be installed"
    rows, labels, costs = problem()
    asked = {
        "first": rows.first.tolist(),
        "places": rows.places.tolist(),
        "values": rows.values.tolist(),
        "labels": labels.tolist(),
        "costs": costs.tolist(),
    }
    oracle = Path(__file__).with_name("logistic_oracle.py")
    question = json.dumps({**asked, "l2": [0.01, 0.0001]})
    done = subprocess.run([python, oracle], input=question, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    if not GOLDEN.is_file():
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps({"problem": asked, "peer": said}) + "\n")
    recorded = json.loads(GOLDEN.read_text())["peer"]["solutions"]
    for l2, solution in said["solutions"].items():
        assert solution["weights"] == pytest.approx(recorded[l2]["weights"], abs=GRADIENT / float(l2))


def test_the_gradient_is_zero_where_fitting_ends():
    rows, labels, costs = problem()
    fit = fit_logistic(rows, labels, costs, num_places=1 << 12, l2=0.001)
    here = loss(rows, labels, costs, weights=fit.weights, bias=fit.bias, l2=0.001)
    assert fit.loss == pytest.approx(here, abs=1e-12)
    for place in [*np.unique(rows.places)[::20], None]:
        nudge = np.zeros(1 << 12)
        nudge[place] = 1e-4 if place is not None else 0
        shift = 1e-4 if place is None else 0
        up, down = (
            loss(rows, labels, costs, weights=fit.weights + s * nudge, bias=fit.bias + s * shift, l2=0.001) for s in (1, -1)
        )
        assert (up - down) / 2e-4 == pytest.approx(0, abs=2e-6)


def test_costs_count_like_repeated_texts():
    rows, labels, _ = problem()
    twice = Rows.join([rows, rows])
    costs = np.concatenate([np.ones(240), labels.astype(float)])
    weighted = fit_logistic(rows, labels, 1.0 + labels, num_places=1 << 12, l2=0.01)
    repeated = fit_logistic(twice, np.concatenate([labels, labels]), costs, num_places=1 << 12, l2=0.01)
    assert weighted.loss == pytest.approx(repeated.loss, abs=1e-9)
    assert weighted.weights == pytest.approx(repeated.weights, abs=1e-4)


def test_fitting_twice_gives_the_same_bits():
    first, second = (fit_logistic(*problem(), num_places=1 << 12) for _ in range(2))
    assert np.array_equal(first.weights, second.weights)
    assert first.bias == second.bias


def test_fitting_says_when_it_was_cut_short():
    assert not fit_logistic(*problem(), num_places=1 << 12, l2=1e-6, max_steps=3).is_converged


def test_calibration_recovers_the_odds_margins_were_drawn_with():
    chooser = np.random.default_rng(1)
    margins = chooser.normal(size=40_000) * 3
    labels = chooser.random(40_000) < logistic(0.5 * margins - 1)
    found = calibrated(margins, labels, np.ones(40_000))
    assert found.slope == pytest.approx(0.5, abs=0.02)  # four standard errors; the draw is fixed
    assert found.offset == pytest.approx(-1, abs=0.06)


def test_calibration_of_separated_labels_stays_finite():
    labels = np.array([True] * 8 + [False] * 8)
    found = calibrated(np.where(labels, 2.0, -2.0), labels, np.ones(16))
    # Platt's targets for 8 and 8: 9/10 and 1/10
    assert found.probabilities(np.array([2.0, -2.0])) == pytest.approx([0.9, 0.1], abs=1e-4)


def test_logistic_does_not_overflow():
    assert logistic(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]
