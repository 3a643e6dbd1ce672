import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.core.seed import Seed
from whorl.measure.intervals import bootstrap, wilson


def test_wilson_equals_the_hand_worked_interval_of_eight_in_ten():
    # z = 1.959964, z2 = 3.841459; centre = (0.8 + z2/20) / (1 + z2/10) = 0.992073 / 1.384146 = 0.716740
    # half = z * sqrt(0.8 * 0.2 / 10 + z2 / 400) / 1.384146 = 1.959964 * 0.160012 / 1.384146 = 0.226577
    low, high = wilson(8, 10)
    assert low == pytest.approx(0.490163, abs=2e-6)
    assert high == pytest.approx(0.943317, abs=2e-6)


def test_wilson_of_none_in_ten_begins_at_zero_and_reaches_further():
    # high = z2 / (n + z2) = 3.841459 / 13.841459
    assert wilson(0, 10) == pytest.approx((0.0, 0.277533), abs=1e-6)
    assert wilson(10, 10) == pytest.approx((0.722467, 1.0), abs=1e-6)


@settings(max_examples=50)
@given(trials=st.integers(1, 1000), share=st.floats(0, 1))
def test_wilson_holds_the_share_and_stays_between_zero_and_one(trials, share):
    successes = int(share * trials)
    low, high = wilson(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1


def test_wilson_refuses_more_successes_than_trials():
    with pytest.raises(ValueError, match="successes=3, trials=2"):
        wilson(3, 2)
    with pytest.raises(ValueError, match="trials=0"):
        wilson(0, 0)


def test_bootstrap_of_two_documents_spans_the_three_possible_ratios():
    # resamples of (1/1, 6/2): 2/2 = 1, 7/3, 12/4 = 3; the outer two come a quarter of the time each
    low, high = bootstrap(np.array([1.0, 6.0]), np.array([1.0, 2.0]), seed=Seed(1))
    assert (low, high) == (1.0, 3.0)


def test_bootstrap_of_equal_documents_has_no_width():
    assert bootstrap(np.full(9, 2.5), np.ones(9), seed=Seed(1)) == (2.5, 2.5)


def test_bootstrap_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    samples = rng.normal(3.0, 1.0, size=(300, 60))
    ends = [bootstrap(row, np.ones(60), seed=Seed(i), num_resamples=400) for i, row in enumerate(samples)]
    covered = np.mean([low <= 3.0 <= high for low, high in ends])
    assert 0.90 <= covered <= 0.98  # percentile intervals of 60 cases cover a little less than 95 %


def test_bootstrap_is_the_same_for_the_same_seed_and_only_then():
    amounts = np.random.default_rng(0).random(30)
    first = bootstrap(amounts, np.ones(30), seed=Seed(7))
    assert first == bootstrap(amounts, np.ones(30), seed=Seed(7))
    assert first != bootstrap(amounts, np.ones(30), seed=Seed(8))


@pytest.mark.parametrize(("amounts", "weights"), [([], []), ([1.0], [0.0]), ([1.0, 2.0], [1.0])])
def test_bootstrap_refuses_what_has_no_ratio(amounts, weights):
    with pytest.raises(ValueError, match="positive weights"):
        bootstrap(np.array(amounts), np.array(weights), seed=Seed(1))
