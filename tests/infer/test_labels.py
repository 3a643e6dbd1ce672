import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whorl.core.errors import DataError, ResourceError, UsageError
from whorl.infer.engine import Engine
from whorl.infer.labels import Labels, answer_nats, distributions
from whorl.infer.setup import Setup

ids = st.integers(9, 60)
asked = st.builds(
    Labels,
    st.lists(ids, min_size=1, max_size=30),
    st.lists(st.lists(ids, min_size=1, max_size=4), min_size=1, max_size=5),
)
HELD = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def by_whole_sequences(engine, labels):
    """By definition: each prompt and answer read from its first token to its last."""
    prompt, answers = labels
    scores = engine.score([[*prompt, *answer] for answer in answers])
    return np.array([score[len(prompt) - 1 :].sum(dtype=np.float64) for score in scores])


@HELD
@given(many=st.lists(asked, max_size=6))
def test_an_answer_is_worth_what_it_is_worth_read_whole(engine, many):
    found = answer_nats(engine, many)
    assert len(found) == len(many)
    for labels, nats in zip(many, found, strict=True):
        np.testing.assert_allclose(nats, by_whole_sequences(engine, labels), atol=1e-5)
    engine.check()
    assert engine.pool.num_held == 0


def test_a_distribution_is_the_softmax_of_what_the_answers_are_worth(engine):
    labels = Labels([9, 10, 11], [[12], [13, 14], [15, 16, 17]])
    nats = by_whole_sequences(engine, labels)
    (plain,) = distributions(engine, [labels])
    np.testing.assert_allclose(plain, np.exp(nats) / np.exp(nats).sum(), atol=1e-6)
    (by_tokens,) = distributions(engine, [labels], normalise="tokens")
    shares = np.exp(nats / [1, 2, 3])
    np.testing.assert_allclose(by_tokens, shares / shares.sum(), atol=1e-6)
    assert plain.sum() == pytest.approx(1)


def test_bytes_count_as_the_ids_spell_them(model):
    spelled = [b"a" * (number % 7) for number in range(61)]  # id 9 spells 2 bytes, 12 five, 14 none
    engine = Engine(model, stop_ids={1}, pad_id=2, token_bytes=spelled)
    labels = Labels([20, 21], [[9], [12, 9]])
    shares = np.exp(by_whole_sequences(engine, labels) / [2, 7])
    np.testing.assert_allclose(distributions(engine, [labels], normalise="bytes")[0], shares / shares.sum(), atol=1e-6)
    with pytest.raises(UsageError, match=r"the answer \[14\] spells no bytes"):
        distributions(engine, [Labels([20], [[9], [14]])], normalise="bytes")


def test_a_prompt_is_computed_once_for_all_its_answers(model):
    """The longer answers find all full blocks of the prompt."""
    engine = Engine(model, stop_ids={1}, pad_id=2, setup=Setup(block_size=4, step_tokens=64))
    computed = []
    run = engine.forward.run
    engine.forward.run = lambda pieces: computed.extend(len(piece.ids) for piece in pieces) or run(pieces)
    prompt = list(range(9, 41))  # 32 tokens: 8 blocks
    answer_nats(engine, [Labels(prompt, [[9], [10], [11]])])
    assert computed == [32]
    computed.clear()
    answer_nats(engine, [Labels(prompt[::-1], [[9, 10], [11, 12, 13], [14]])])
    assert computed[0] == 32
    assert sum(computed[1:]) <= (2 + 3) + 2 * 4  # the answers, and for each at most one block of the prompt


def test_more_prompts_than_the_cache_holds_are_weighed_in_groups(model, engine):
    small = Engine(model, stop_ids={1}, pad_id=2, setup=Setup(block_size=4, cache_tokens=48, rows=4))
    many = [Labels([9 + number, 10, 11, 12, 13] * 3, [[20, 21], [22]]) for number in range(12)]
    for ours, wanted in zip(answer_nats(small, many), answer_nats(engine, many), strict=True):
        np.testing.assert_allclose(ours, wanted, atol=1e-5)
    small.check()


def test_equal_answers_share_what_they_are_worth(engine):
    (shares,) = distributions(engine, [Labels([9], [[10], [10], [10]])])
    np.testing.assert_allclose(shares, [1 / 3] * 3)


@pytest.mark.parametrize(
    ("labels", "error", "fault"),
    [
        (Labels([9], []), UsageError, "prompt 1 has no answers"),
        (Labels([], [[9]]), DataError, "prompt 1 or one of its answers is empty"),
        (Labels([9], [[9], []]), DataError, "prompt 1 or one of its answers is empty"),
        (
            Labels([9] * 46, [[9], [9, 9, 9]]),
            DataError,
            "prompt 1 has 46 tokens and its longest answer 3; the model's context is 48",
        ),
        (Labels([9], [[61]]), DataError, "prompt 1 or one of its answers holds id 61"),
        (Labels([9], [[9, 61]]), DataError, "id 61"),
    ],
)
def test_what_cannot_be_weighed_is_refused_by_number(engine, labels, error, fault):
    with pytest.raises(error, match=fault):
        answer_nats(engine, [Labels([9], [[10]]), labels])
    assert engine.is_idle


def test_bytes_need_to_know_what_ids_spell(engine):
    with pytest.raises(UsageError, match="not told what its ids spell"):
        distributions(engine, [Labels([9], [[10]])], normalise="bytes")


def test_figures_that_are_not_finite_are_no_distribution(model):
    model.embed.weight.data[60] = float("nan")
    with pytest.raises(ResourceError, match="answers cannot be weighed: the model's logits are not finite"):
        distributions(Engine(model, stop_ids={1}, pad_id=2), [Labels([9, 60], [[10], [11]])])
