import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.evals.windows import Window, windows


def test_ten_tokens_through_a_window_of_four_by_hand():
    assert list(windows(10, 4)) == [Window(0, 4, 1), Window(2, 6, 4), Window(4, 8, 6), Window(6, 10, 8)]


def test_the_last_window_ends_with_the_document():
    assert list(windows(9, 4)) == [Window(0, 4, 1), Window(2, 6, 4), Window(4, 8, 6), Window(5, 9, 8)]


def test_a_document_that_fits_is_one_window():
    assert list(windows(7, 8)) == [Window(0, 7, 1)]
    assert list(windows(8, 8)) == [Window(0, 8, 1)]


def test_a_document_of_only_a_begin_mark_has_nothing_to_score():
    assert list(windows(1, 8)) == []


def test_a_window_of_one_token_is_refused():
    with pytest.raises(ValueError, match="width=1"):
        list(windows(5, 1))


@settings(max_examples=50)
@given(num_tokens=st.integers(1, 400), width=st.integers(2, 70))
def test_every_token_is_scored_once_with_half_a_window_of_context(num_tokens, width):
    cuts = list(windows(num_tokens, width))
    assert [token for cut in cuts for token in range(cut.first, cut.stop)] == list(range(1, num_tokens))
    for cut in cuts:
        assert 0 <= cut.start < cut.first < cut.stop
        assert cut.stop - cut.start <= width
        assert cut.first - cut.start >= min(cut.first, width // 2)
