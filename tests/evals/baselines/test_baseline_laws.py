"""Laws of the baselines' door."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.evals.baselines import Baseline

documents = st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6)


@pytest.mark.parametrize("use", Baseline.names())
@settings(max_examples=30)
@given(train=documents, scored=documents)
def test_costs_are_never_negative_and_documents_add_up_to_the_total(use, train, scored):
    cost = Baseline.model_validate({"use": use}).cost(train, scored)
    assert cost.total_bits >= 0
    if cost.document_bits is not None:
        assert cost.document_bits.shape == (len(scored),)
        assert cost.document_bits.sum() == pytest.approx(cost.total_bits, rel=1e-12)


@pytest.mark.parametrize("use", Baseline.names())
def test_text_like_the_training_text_costs_no_more_than_text_unlike_it(use):
    rng = np.random.default_rng(0)
    train = [b"the loom weaves the thread into cloth. " * 3] * 20
    like, unlike = [b"the thread weaves the cloth into the loom."], [rng.integers(0, 256, 42, dtype=np.uint8).tobytes()]
    baseline = Baseline.model_validate({"use": use})
    assert baseline.cost(train, like).total_bits <= baseline.cost(train, unlike).total_bits


@pytest.mark.parametrize("use", Baseline.names())
def test_the_definition_is_a_clause(use):
    assert not Baseline.find(use, frozenset()).definition.endswith(".")
