"""When guessing is worth its time: costs by hand, estimates by hand, and simulated requests whose luck is known."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.core.errors import DataError
from whorl.infer.draft import PromptLookup
from whorl.infer.pays import FIRST_WAIT, LONGEST, LONGEST_WAIT, Luck, Speculation, StepCosts, best_length

FREE = StepCosts((1, 17), (1.0, 1.0))  # a step of many tokens costs what a step of one does
FAIR = StepCosts((1, 2, 3, 5, 9, 17), (1.0, 1.3, 1.6, 2.2, 3.4, 5.8))  # each further token 0.3
DEAR = StepCosts((1, 17), (1.0, 17.0))  # nothing is gained by computing tokens together


class Repeated:
    """A drafter that always says the same and remembers what it was told."""

    def __init__(self, token=9):
        self.token, self.heard, self.asked, self.is_open = token, [], 0, True

    def propose(self, tokens, limit):
        self.asked += 1
        return [self.token] * limit

    def told(self, num_drafted, num_accepted):
        self.heard.append((num_drafted, num_accepted))

    def close(self):
        self.is_open = False


def speculator(costs, drafter=None):
    return Speculation(lambda: drafter or Repeated(), costs, vocab_size=61).open()


def test_costs_lie_on_straight_lines_between_what_was_measured_and_beyond():
    costs = StepCosts((1, 3, 5), (1.0, 2.0, 6.0))
    assert [costs.of(size) for size in (1, 2, 3, 4, 5, 6)] == [1.0, 1.5, 2.0, 4.0, 6.0, 8.0]


def test_the_expected_number_of_right_guesses_is_that_of_a_beta_estimate():
    # Beta(1, 1): E[p] = 1/2, E[p^2] = 1/3, E[p^3] = 1/4
    assert Luck(1.0, 1.0).expected(3) == pytest.approx([0, 1 / 2, 1 / 2 + 1 / 3, 1 / 2 + 1 / 3 + 1 / 4])


def test_guesses_after_the_first_wrong_one_count_for_nothing():
    luck = Luck(1.0, 1.0)
    luck.told(5, 2)
    assert (luck.right, luck.wrong) == (3.0, 2.0)
    luck.told(3, 3)
    assert (luck.right, luck.wrong) == (6.0, 2.0)


def test_old_luck_fades():
    luck = Luck()
    for _ in range(100):
        luck.told(4, 4)
    for _ in range(100):
        luck.told(1, 0)
    assert luck.expected(1)[1] < 0.25


def test_the_length_is_the_one_that_makes_tokens_come_fastest():
    gains = [0, 0.5, 0.75, 0.875]  # each guess is right with one half
    # 1 token costs 1; (1.3, 1.6, 1.9) / (1.5, 1.75, 1.875) = 0.87, 0.91, 1.01
    assert best_length(FAIR, gains) == 1
    assert best_length(FREE, gains) == 3
    assert best_length(DEAR, gains) == 0
    assert best_length(FAIR, [0, 0.25, 0.3125]) == 0  # 1.3 / 1.25 > 1


def test_a_dear_draft_makes_guessing_lose():
    assert best_length(StepCosts((1, 17), (1.0, 1.0), draft=0.9), [0, 0.8, 1.5]) == 0
    assert best_length(StepCosts((1, 17), (1.0, 1.0), draft=0.2), [0, 0.8, 1.5]) == 2


def test_guesses_pay_less_the_more_requests_share_the_step():
    # Up to 8 tokens a step costs the same, from there on each costs 1/8 more.
    costs = StepCosts((1, 8, 16), (1.0, 1.0, 2.0))
    gains = [0, 0.9, 1.7, 2.4]
    assert best_length(costs, gains) == 3
    assert best_length(costs, gains, rows=4) == 1  # 8 tokens for 1 say 4 * 1.9; 12 for 1.5 say 4 * 2.7: 0.132 and 0.139 each
    assert best_length(costs, gains, rows=8) == 0  # 16 tokens for 2 say 8 * 1.9: 0.132 each, against 0.125 without


@settings(max_examples=50)
@given(
    rises=st.lists(st.floats(0, 2), min_size=5, max_size=5),
    right=st.floats(0.1, 60),
    wrong=st.floats(0.1, 60),
    draft=st.floats(0, 1),
    rows=st.integers(1, 20),
)
def test_no_other_length_would_be_faster(rises, right, wrong, draft, rows):
    ratios = [1.0]
    for rise in rises:
        ratios.append(ratios[-1] + rise)
    costs = StepCosts((1, 2, 3, 5, 9, 17), tuple(ratios), draft)
    gains = Luck(right, wrong).expected(LONGEST)
    chosen = best_length(costs, gains, rows=rows)
    rates = [(1 + gain) / (costs.of(rows * (1 + length)) + rows * length * draft) for length, gain in enumerate(gains)]
    assert rates[chosen] >= max(rates) / 1.021


def test_nothing_is_ever_asked_where_even_hope_does_not_pay():
    drafter = Repeated()
    one = speculator(DEAR, drafter)
    assert all(one.propose([1], 8) == [] for _ in range(1000))
    assert drafter.asked == 0


def simulated(one, is_right, num_tokens):
    """Tokens spent on guessing, and tokens said by it, over a request whose guesses are right as `is_right` says."""
    said = spent = gained = 0
    while said < num_tokens:
        drafted = len(one.propose([1], 8))
        right = next((place for place in range(drafted) if not is_right(said + place)), drafted)
        one.told(drafted, right)
        said += 1 + right
        spent += drafted
        gained += right
    return spent, gained


def test_guesses_that_are_always_wrong_are_soon_given_up_and_tried_more_and_more_rarely():
    spent, gained = simulated(speculator(FAIR), lambda place: False, 2000)
    assert gained == 0
    # A try is given up after a few guesses; waits are 16, 32, 64, 128, 256, 256 ...
    assert spent < 12 * 8
    assert simulated(speculator(FAIR), lambda place: False, 100)[0] > 0


def test_guesses_that_are_always_right_are_soon_made_at_full_length():
    spent, gained = simulated(speculator(FAIR), lambda place: True, 2000)
    assert spent == gained > 2000 * 0.85


def test_a_request_that_becomes_predictable_late_is_found_out():
    _, gained = simulated(speculator(FAIR), lambda place: place >= 1000, 3000)
    assert gained > (2000 - 2 * LONGEST_WAIT) * 0.8


def test_a_try_that_wins_makes_the_next_wait_short_again():
    one = speculator(FAIR)
    simulated(one, lambda place: False, 1000)
    assert one._wait > FIRST_WAIT
    while not (drafted := one.propose([1], 8)):
        pass
    one.told(len(drafted), len(drafted))
    assert one._wait == FIRST_WAIT


def test_the_drafter_hears_what_became_of_its_guesses_and_of_the_request():
    drafter = Repeated()
    one = speculator(FREE, drafter)
    assert one.propose([1], 3) == [9, 9]
    one.told(2, 1)
    one.told(0, 0)
    one.close()
    assert drafter.heard == [(2, 1)]
    assert not drafter.is_open


def test_no_more_is_asked_for_than_is_wanted_and_was_measured():
    assert speculator(FREE).propose([1], 0) == []
    assert len(speculator(FREE).propose([1], 1)) == 1
    one, lengths = speculator(FREE), []
    for _ in range(5):
        lengths.append(len(one.propose([1], 500)))
        one.told(lengths[-1], lengths[-1])
    assert lengths == [2, 4, 8, LONGEST, LONGEST]  # more with every proposal that was all right
    one.told(LONGEST, 0)
    assert len(one.propose([1], 500)) == 2


@pytest.mark.parametrize(("token", "extra"), [(61, 0), (-1, 0), (9, 1)])
def test_what_is_no_proposal_is_refused(token, extra):
    class Wrong(Repeated):
        def propose(self, tokens, limit):
            return [token] * (limit + extra)

    with pytest.raises(DataError, match="a drafter proposed"):
        speculator(FREE, Wrong()).propose([1], 3)


def test_measured_costs_are_relative_to_a_step_of_one_token_and_never_fall():
    seconds = {1: 0.004, 2: 0.002, 3: 0.008, 5: 0.008, 9: 0.008, 16: 0.016}
    costs = StepCosts.measured(lambda size: time.sleep(seconds[size]), PromptLookup)
    assert costs.sizes == (1, 2, 3, 5, 9, 16)
    assert costs.ratios[0] == costs.ratios[1] == 1.0  # two tokens are not cheaper than one
    assert costs.ratios[1] <= costs.ratios[2] <= costs.ratios[3] <= costs.ratios[5]
    assert 1.2 < costs.ratios[5] < 16
    assert 0 < costs.draft < 0.5
