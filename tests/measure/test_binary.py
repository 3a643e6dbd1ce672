import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.measure.binary import area_under_curve, calibration_error, operating_point

SCORES = np.array([0.9, 0.8, 0.4, 0.3, 0.3])
LABELS = np.array([True, False, True, False, True])
EVEN = np.ones(5)


def test_area_is_the_share_of_pairs_in_order_with_ties_counting_half():
    # 0.9 beats both negatives, 0.4 beats 0.3, 0.3 ties with 0.3: 3.5 of 6 pairs
    assert area_under_curve(SCORES, LABELS) == pytest.approx(3.5 / 6)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_area_equals_counting_every_pair(cases):
    scores, labels = np.array([s for s, _ in cases], float), np.array([y for _, y in cases])
    if labels.all() or not labels.any():
        with pytest.raises(ValueError, match="both kinds"):
            area_under_curve(scores, labels)
        return
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[labels] for n in scores[~labels]]
    assert area_under_curve(scores, labels) == pytest.approx(np.mean(pairs))


def test_an_operating_point_counts_what_is_kept():
    point = operating_point(SCORES, LABELS, EVEN, threshold=0.4)
    assert point == (0.4, 2, 1, pytest.approx(2 / 3), pytest.approx(2 / 3))


def test_precision_depends_on_how_common_positives_are_and_recall_does_not():
    rare = np.where(LABELS, 0.1, 1.0)
    point = operating_point(SCORES, LABELS, rare, threshold=0.4)
    assert point.precision == pytest.approx(0.2 / 1.2)
    assert point.recall == pytest.approx(2 / 3)


def test_precision_of_nothing_is_not_a_number_somebody_made_up():
    assert operating_point(SCORES, LABELS, EVEN, threshold=0.95).precision is None


def test_calibration_error_is_the_mean_gap_of_score_and_share():
    scores = np.array([0.25, 0.25, 0.25, 0.25, 0.95])
    labels = np.array([True, False, False, False, False])
    assert calibration_error(scores, labels, np.ones(5)) == pytest.approx((4 * 0.0 + 0.95) / 5)
    assert calibration_error(scores[:4], labels[:4], np.ones(4)) == pytest.approx(0)


def test_a_certain_score_of_one_falls_into_the_last_interval():
    assert calibration_error(np.array([1.0, 1.0]), np.array([True, True]), np.ones(2)) == 0
