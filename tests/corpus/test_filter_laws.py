"""What every filter promises, whichever it is."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.corpus.filters import Filter
from whorl.text.batch import TextBatch

ODD = ["", " ", "\n", "\x00", "...", "\ufeff", "\u0301", "a" * 5000, "#" * 30, "- a\n- b", "\u6f22\u5b57", "\U0001f600" * 9]
TEXTS = st.lists(st.one_of(st.sampled_from(ODD), st.text(max_size=200)), min_size=1, max_size=8)


def batch(texts):
    return TextBatch(pa.array(texts, pa.large_string()))


@pytest.mark.parametrize("name", Filter.names())
@settings(max_examples=30, deadline=None)
@given(texts=TEXTS)
def test_filter_gives_every_text_the_same_verdict_in_any_batch(name, texts):
    rule = Filter.model_validate({"use": name})
    together = rule.judge(batch(texts))
    for i, text in enumerate(texts):
        alone = rule.judge(batch([text]))
        assert alone.codes[0] == together.codes[i]
        assert np.array_equal(alone.values[0], together.values[i], equal_nan=True)


@pytest.mark.parametrize("name", Filter.names())
@settings(max_examples=30, deadline=None)
@given(texts=TEXTS)
def test_filter_gives_a_reason_and_a_figure_for_every_drop(name, texts):
    verdict = Filter.model_validate({"use": name}).judge(batch(texts))
    assert len(verdict.codes) == len(texts)
    for row in np.flatnonzero(~verdict.is_kept):
        assert verdict.reason(row).isidentifier()
        assert "want" in verdict.detail(row)
        assert not np.isnan(verdict.values[row])


@pytest.mark.parametrize("name", Filter.names())
def test_filter_takes_an_empty_batch(name):
    assert len(Filter.model_validate({"use": name}).judge(batch([])).codes) == 0


@pytest.mark.parametrize("name", Filter.names())
def test_reasons_of_a_filter_are_different(name):
    reasons = Filter.model_validate({"use": name}).judge(batch(["x"])).reasons
    assert len(set(reasons)) == len(reasons)
