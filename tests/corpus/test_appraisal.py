import numpy as np
import pytest

from whorl.corpus.appraisal import THRESHOLDS, appraise
from whorl.text.logistic import logistic


def drawn(count=4000, share=0.5, seed=3):
    """Margins whose label is positive with probability logistic(2 * margin)."""
    chooser = np.random.default_rng(seed)
    margins = chooser.normal(size=count)
    labels = chooser.random(count) < logistic(2 * margins)
    weights = np.where(labels, share / labels.sum(), (1 - share) / (~labels).sum())
    return margins, labels, weights, chooser.permutation(count).astype(np.uint64)


def appraised(**options):
    margins, labels, weights, keys = drawn(**options)
    return appraise(margins, labels, weights, keys=keys)


def test_scores_that_tell_what_they_were_drawn_with_are_calibrated():
    assert appraised().headline["calibration_error"] < 0.03


def test_every_threshold_keeps_less_than_the_one_before():
    points = appraised().points
    assert [point.threshold for point in points] == list(THRESHOLDS)
    recalls = [point.recall for point in points]
    assert recalls == sorted(recalls, reverse=True)


def test_precision_falls_where_positives_are_rare_and_the_area_stays():
    even, rare = appraised(), appraised(share=0.05)
    middle = THRESHOLDS.index(0.5)
    assert even.points[middle].precision > 0.75
    assert rare.headline["auc"] == even.headline["auc"]
    kept = [sum((p.true_positives, p.false_positives)) for p in (even.points[middle], rare.points[middle])]
    assert kept[1] < kept[0] / 3  # a rare positive needs more evidence


def test_margins_that_say_nothing_are_found_out():
    _, labels, weights, keys = drawn()
    noise = np.random.default_rng(9).normal(size=len(labels))
    headline = appraise(noise, labels, weights, keys=keys).headline
    assert headline["auc"] == pytest.approx(0.5, abs=0.03)
    assert headline["calibration_error"] < 0.03  # it says one half, and one half it is


def test_what_is_reported_was_not_fitted_to_the_documents_it_is_reported_on():
    # Twenty documents in which chance alone orders the margins: fitted on all of them, the scores would look informative.
    chooser = np.random.default_rng(0)
    errors = []
    for _ in range(40):
        labels = np.arange(20) % 2 == 0
        margins = chooser.normal(size=20) * 5
        keys = chooser.permutation(20).astype(np.uint64)
        errors.append(appraise(margins, labels, np.full(20, 1 / 20), keys=keys).headline["calibration_error"])
    assert np.mean(errors) > 0.15


def test_the_order_of_documents_does_not_matter():
    margins, labels, weights, keys = drawn(count=60)
    turned = np.arange(60)[::-1]
    one = appraise(margins, labels, weights, keys=keys)
    other = appraise(margins[turned], labels[turned], weights[turned], keys=keys[turned])
    assert [point[:3] for point in one.points] == [point[:3] for point in other.points]
    assert one.headline["auc"] == pytest.approx(other.headline["auc"])
