from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from whorl.core.errors import UsageError
from whorl.infer.sampler import Past, Sampling, Settings, adjust, choose, uniform

LOGITS = torch.tensor([[0.1, 0.4, 0.2, 0.3]]).log()


def drawn(logits, uniforms, **settings):
    many = logits.expand(len(uniforms), -1)
    rows = Settings.of([Sampling(1, **settings)] * len(many), vocab_size=many.shape[1])
    return choose(many, rows, uniforms=torch.tensor(uniforms, dtype=torch.float64)).tolist()


def test_greedy_takes_the_top_and_the_lower_id_on_a_tie():
    assert drawn(torch.tensor([[1.0, 3.0, 3.0]]), [0.99]) == [1]


def test_a_draw_is_the_token_the_number_falls_on():
    # Without a cut tokens stand in order of id: heaps end at 0.1, 0.5, 0.7, 1.0.
    assert drawn(LOGITS, [0.0, 0.09, 0.11, 0.49, 0.51, 0.71, 0.999], temperature=1.0) == [0, 0, 1, 1, 2, 3, 3]


def test_top_k_shares_all_probability_among_the_k_likeliest():
    # 1 and 3 remain, with 4/7 and 3/7.
    assert drawn(LOGITS, [0.0, 0.57, 0.58, 0.999], temperature=1.0, top_k=2) == [1, 1, 3, 3]


def test_top_p_keeps_the_fewest_tokens_that_hold_it():
    # 0.4 + 0.3 hold 0.65; 2 and 0 are out.
    assert drawn(LOGITS, [0.0, 0.57, 0.58, 0.999], temperature=1.0, top_p=0.65) == [1, 1, 3, 3]
    assert set(drawn(LOGITS, list(np.linspace(0, 0.999, 50)), temperature=1.0, top_p=0.3)) == {1}


def test_top_p_counts_what_top_k_left():
    # Of 4/7 and 3/7, one token holds 0.5; of everything it would not.
    assert set(drawn(LOGITS, [0.0, 0.999], temperature=1.0, top_k=2, top_p=0.5)) == {1}


def test_heat_flattens():
    cold = drawn(LOGITS, [0.65], temperature=0.1)
    assert cold == [1]
    assert drawn(LOGITS, [0.2, 0.3, 0.6, 0.9], temperature=1e6) == [0, 1, 2, 3]


def test_min_p_keeps_tokens_at_least_so_likely_as_the_likeliest():
    # 0.4 * 0.6 = 0.24: 1 and 3 remain.
    assert drawn(LOGITS, [0.0, 0.57, 0.58, 0.999], temperature=1.0, min_p=0.6) == [1, 1, 3, 3]


def test_rows_with_other_settings_do_not_change_each_other():
    asked = [
        Sampling(1),
        Sampling(1, 1.0),
        Sampling(1, 1.0, top_k=2),
        Sampling(1, 1.0, top_p=0.65),
        Sampling(1, 0.1, min_p=0.1),
    ]
    uniforms = torch.tensor([0.3, 0.09, 0.58, 0.58, 0.65], dtype=torch.float64)
    together = choose(LOGITS.expand(5, -1), Settings.of(asked, vocab_size=4), uniforms=uniforms)
    alone = [
        choose(LOGITS, Settings.of([one], vocab_size=4), uniforms=uniforms[row : row + 1]).item()
        for row, one in enumerate(asked)
    ]
    assert together.tolist() == alone == [1, 0, 3, 3, 1]


def test_penalties_and_biases_are_those_of_their_definitions():
    logits = torch.tensor([2.0, -2.0, 1.0, 0.0])
    sampling = Sampling(1, repetition_penalty=2.0, presence_penalty=0.5, frequency_penalty=0.25, logit_bias={3: 7.0})
    adjust(logits, sampling, Past({0}, Counter({1: 2})))
    # 0 was in the prompt: halved; 1 was said twice: doubled, for it is below 0, then less 0.5 + 2 * 0.25; 3 is biased.
    assert logits.tolist() == [1.0, -5.0, 1.0, 7.0]


def test_a_forbidden_token_is_never_drawn():
    logits = LOGITS.clone()[0]
    adjust(logits, Sampling(1, logit_bias={1: float("-inf")}), Past(set(), Counter()))
    assert 1 not in drawn(logits.unsqueeze(0), list(np.linspace(0, 0.999, 50)), temperature=1.0)


def test_uniform_numbers_are_even_and_differ_by_seed_and_count():
    found = np.array([uniform(seed, count) for seed in range(40) for count in range(250)])
    assert len(set(found)) == len(found)
    counts = np.bincount((found * 20).astype(int), minlength=20)
    assert ((counts - 500) ** 2 / 500).sum() < 43.8  # chi-square, 19 degrees of freedom, one in a thousand
    assert 0 <= found.min() < found.max() < 1


@given(seed=st.integers(0, 999), top_k=st.none() | st.integers(1, 9), top_p=st.sampled_from([0.2, 0.9, 1.0]))
def test_frequencies_follow_the_renormalised_probabilities(seed, top_k, top_p):
    logits = torch.randn(1, 7, generator=torch.Generator().manual_seed(seed))
    grid = (np.arange(2000) + 0.5) / 2000
    found = np.bincount(drawn(logits, list(grid), temperature=0.7, top_k=top_k, top_p=top_p), minlength=7) / 2000
    shares = (logits[0] / 0.7).softmax(-1).double().numpy()
    order = np.argsort(-shares, kind="stable")[: top_k or 7]
    kept = shares[order] / shares[order].sum()
    order = order[: int(np.searchsorted(np.cumsum(kept), top_p - 1e-9)) + 1]
    wanted = np.zeros(7)
    wanted[order] = shares[order] / shares[order].sum()
    np.testing.assert_allclose(found, wanted, atol=2 / 2000)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"max_tokens": -1}, "max_tokens=-1"),
        ({"max_tokens": 1, "temperature": -1.0}, "temperature=-1.0"),
        ({"max_tokens": 1, "top_p": 0.0}, "top_p=0.0"),
        ({"max_tokens": 1, "top_k": 0}, "top_k=0"),
        ({"max_tokens": 1, "min_p": 1.0}, "min_p=1.0"),
        ({"max_tokens": 1, "repetition_penalty": 0.0}, "repetition_penalty=0.0"),
        ({"max_tokens": 1, "frequency_penalty": float("nan")}, "finite numbers"),
        ({"max_tokens": 1, "logit_bias": {3: float("inf")}}, "below infinity"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, named):
    with pytest.raises(UsageError, match=named):
        Sampling(**settings)


@pytest.mark.parametrize("cut", [{}, {"top_k": 2}])
@pytest.mark.parametrize("temperature", [1e-46, 1e-40, 1e-31, 1e-29, 1e-9])
def test_a_temperature_next_to_nothing_draws_the_likeliest_token(temperature, cut):
    logits = torch.tensor([[1.0, 90.0, 89.9, -5.0]])
    settings = Settings.of([Sampling(1, temperature, **cut)], vocab_size=4)
    for uniform_number in (0.0, 0.5, 0.999):
        assert choose(logits, settings, uniforms=torch.tensor([uniform_number], dtype=torch.float64)).tolist() == [1]
