import pytest

from whorl.corpus.mixture import Supply, largest_total, passes, shares


def supplies(*sizes, weights=None, max_epochs=1.0):
    return [Supply(f"s{i}", size, max_epochs, weights[i] if weights else None) for i, size in enumerate(sizes)]


def test_weights_are_relative():
    assert shares(supplies(1, 1000, weights=(3, 1)), 1.0) == [0.75, 0.25]


@pytest.mark.parametrize(("temperature", "wanted"), [(1, [0.9, 0.1]), (2, [0.75, 0.25]), (1e12, [0.5, 0.5])])
def test_temperature_flattens_sizes(temperature, wanted):
    assert shares(supplies(900, 100), temperature) == pytest.approx(wanted)


def test_a_temperature_below_one_sharpens_without_overflow():
    assert shares(supplies(10**15, 10**3), 0.01) == [1.0, 0.0]


def test_the_smallest_supply_per_share_bounds_the_total():
    given = [Supply("big", 1000, 1.0, 1.0), Supply("small", 100, 3.0, 1.0)]
    most, tightest = largest_total(given, [0.5, 0.5])
    assert (most, tightest.name) == (600, "small")
    assert passes(given, [0.5, 0.5], most) == [0.3, 3.0]
    assert passes(given, [0.5, 0.5], 200) == [0.1, 1.0]
