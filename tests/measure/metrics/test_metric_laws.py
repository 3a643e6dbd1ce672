import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.measure.metrics import Metric


@pytest.mark.parametrize("use", Metric.names())
@settings(max_examples=50)
@given(reference=st.text(st.characters(codec="ascii"), min_size=1).filter(str.strip))
def test_a_reference_scores_one_and_nothing_scores_zero(use, reference):
    metric = Metric.model_validate({"use": use})
    assert metric.score(reference, (reference,)) == 1.0
    assert metric.score("", (reference,)) == 0.0
