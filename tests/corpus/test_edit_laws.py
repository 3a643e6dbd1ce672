"""What every edit promises, whichever it is."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.corpus.edits import Edit

ODD = "\r\n\t \x00\x1f\x7f\x85\u00a0\u2028\u200b\ufeff\u0301\u0323e\u212b\uac00\u1100\u1161\u00ad."
TEXTS = st.lists(st.text(st.one_of(st.sampled_from(ODD), st.characters(codec="utf-8")), max_size=60), max_size=6)


@pytest.mark.parametrize("name", Edit.names())
@settings(max_examples=50, deadline=None)
@given(texts=TEXTS)
def test_edit_is_idempotent_and_keeps_the_number_of_texts(name, texts):
    edit = Edit.model_validate({"use": name})
    once = edit.apply(pa.array(texts, pa.large_string()))
    twice = edit.apply(once.texts)
    assert len(once.texts) == len(texts) == len(once.num_spans)
    assert twice.texts.equals(once.texts)
    assert not twice.num_spans.any()


@pytest.mark.parametrize("name", Edit.names())
@settings(max_examples=50, deadline=None)
@given(texts=TEXTS)
def test_edit_counts_spans_exactly_where_it_changed_something(name, texts):
    edited = Edit.model_validate({"use": name}).apply(pa.array(texts, pa.large_string()))
    changed = [before != after for before, after in zip(texts, edited.texts.to_pylist(), strict=True)]
    assert [bool(n) for n in edited.num_spans] == changed
