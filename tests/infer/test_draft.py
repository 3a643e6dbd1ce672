"""Guesses of the next tokens: what prompt lookup copies, how far guesses stand, and what is no proposal at all."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.core.errors import DataError, UsageError
from whorl.infer.draft import PromptLookup, checked, num_agreed


def by_search(tokens, limit, *, longest=3, shortest=1):
    """The copy, by looking at every earlier place for every length, token by token."""
    sizes = [size for size in range(longest, shortest - 1, -1) if size < len(tokens)]
    places = [(size, place) for size in sizes for place in range(len(tokens) - 1, size - 1, -1)]
    for size, place in places:
        if tokens[place - size : place] == tokens[-size:]:
            copied = list(tokens)
            while len(copied) < len(tokens) + limit:
                copied.append(copied[place + len(copied) - len(tokens)])
            return copied[len(tokens) :]
    return []


def test_what_followed_the_newest_tokens_is_copied():
    assert PromptLookup().propose([7, 8, 9, 1, 2, 3, 7, 8, 9], 2) == [1, 2]


def test_the_longest_known_end_wins_over_a_later_shorter_one():
    assert PromptLookup().propose([1, 2, 3, 50, 9, 3, 60, 1, 2, 3], 1) == [50]
    assert PromptLookup(longest=1).propose([1, 2, 3, 50, 9, 3, 60, 1, 2, 3], 1) == [60]


def test_the_latest_of_equal_places_wins():
    assert PromptLookup().propose([5, 1, 6, 5, 1, 7, 5, 1], 1) == [7]


def test_a_loop_is_continued_as_a_loop():
    assert PromptLookup().propose([4, 1, 2, 1, 2], 5) == [1, 2, 1, 2, 1]


@pytest.mark.parametrize("tokens", [[3], [1, 2, 3], [1, 2, 9, 1]])
def test_nothing_is_proposed_where_the_shortest_end_is_new(tokens):
    assert PromptLookup(shortest=2).propose(tokens, 4) == []


@settings(max_examples=50)
@given(
    tokens=st.lists(st.integers(0, 2), min_size=1, max_size=40),
    looks=st.lists(st.integers(1, 6), max_size=8),
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 4)).map(sorted),
    limit=st.integers(0, 6),
)
def test_proposals_equal_a_naive_search_however_the_request_grows(tokens, looks, sizes, limit):
    shortest, longest = sizes
    lookup, length = PromptLookup(longest=longest, shortest=shortest), 1
    for growth in [0, *looks]:
        length = min(length + growth, len(tokens))
        wanted = by_search(tokens[:length], limit, longest=longest, shortest=shortest)
        assert lookup.propose(tokens[:length], limit) == wanted


def test_lengths_that_mean_nothing_are_refused():
    with pytest.raises(UsageError, match="shortest=3, longest=2"):
        PromptLookup(longest=2, shortest=3)
    with pytest.raises(UsageError, match="shortest=0"):
        PromptLookup(shortest=0)


def test_guesses_stand_up_to_the_first_wrong_one():
    assert num_agreed([5, 6, 7], [5, 6, 9, 7]) == 2
    assert num_agreed([5, 6], [5, 6, 9]) == 2
    assert num_agreed([5], [6, 5]) == 0
    assert num_agreed([], [6]) == 0
    assert num_agreed([5, 6], [5]) == 1  # the answer ended before the second was drawn


def test_too_many_guesses_and_unknown_ids_are_refused():
    assert checked([0, 60], 2, vocab_size=61) == [0, 60]
    assert checked([], 2, vocab_size=61) == []
    with pytest.raises(DataError, match="proposed 3 tokens; want at most the 2"):
        checked([1, 2, 3], 2, vocab_size=61)
    with pytest.raises(DataError, match="proposed id 61; want ids from 0 to 60"):
        checked([1, 61], 2, vocab_size=61)
    with pytest.raises(DataError, match="proposed id -1"):
        checked([-1], 2, vocab_size=61)
