"""What every filter promises, whichever it is. A member that needs more than its defaults is listed in EXAMPLES."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.core.records import DOCUMENTS
from whorl.corpus.document_batch import DocumentBatch
from whorl.corpus.filters import Filter
from whorl.corpus.judge import judge
from whorl.text.batch import TextBatch
from whorl.text.words import COUNTS

EXAMPLES = {}  # use -> config: a member whose defaults alone are not valid
OUT_OF_REACH = frozenset({"quality"})  # needs an artifact; its own test holds it to the same laws
NAMES = [name for name in Filter.names() if name not in OUT_OF_REACH]

ODD = ["", " ", "\n", "\x00", "...", "\ufeff", "\u0301", "a" * 5000, "#" * 30, "- a\n- b", "\u6f22\u5b57", "\U0001f600" * 9]
TEXTS = st.lists(st.one_of(st.sampled_from(ODD), st.text(max_size=200)), min_size=1, max_size=8)


def member(name):
    return Filter.model_validate({"use": name, **EXAMPLES.get(name, {})})


def batch(texts):
    columns = {column: [None] * len(texts) for column in DOCUMENTS.names}
    columns |= {"id": [f"d{i}" for i in range(len(texts))], "source": ["here"] * len(texts), "text": texts}
    return DocumentBatch(pa.table(columns, schema=DOCUMENTS))


def ledger(rule, documents):
    """The figures as corpus.refine writes them."""
    shared = {"num_bytes": documents.texts.num_bytes}
    return pa.table({**shared, **rule.measuring().figures(documents)})


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(texts=TEXTS)
def test_filter_gives_every_text_the_same_verdict_in_any_batch(name, texts):
    rule = member(name)
    together = rule.judge(batch(texts))
    for i, text in enumerate(texts):
        alone = rule.judge(batch([text]))
        assert alone.is_kept[0] == together.is_kept[i]
        assert (alone.detail[0], alone.broken[0]) == (together.detail[i], together.broken[i])


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(texts=TEXTS)
def test_filter_gives_a_reason_and_a_figure_for_every_drop(name, texts):
    found = member(name).judge(batch(texts))
    assert len(found.is_kept) == len(texts)
    for row, is_kept in enumerate(found.is_kept):
        assert (found.reason[row].as_py() is None) == is_kept == (found.broken[row].as_py() == [])
        if not is_kept:
            assert found.reason[row].as_py().isidentifier()
            assert "want" in found.detail[row].as_py()
            assert found.broken[row].as_py()[0] == f"{name}.{found.reason[row]}"


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20, deadline=None)
@given(texts=TEXTS.filter(all))
def test_filter_judges_a_ledger_as_it_judged_the_texts(name, texts):
    rule, documents = member(name), batch(texts)
    at_once, later = rule.judge(documents), judge([rule], ledger(rule, documents))
    assert later.is_kept.tolist() == at_once.is_kept.tolist()
    assert later.detail.equals(at_once.detail)


@pytest.mark.parametrize("name", NAMES)
def test_filter_takes_an_empty_batch(name):
    assert len(member(name).judge(batch([])).is_kept) == 0


@pytest.mark.parametrize("name", NAMES)
def test_figures_of_a_filter_are_shared_statistics_or_carry_its_name(name):
    shared = {"num_bytes", *COUNTS, *TextBatch(pa.array(["x"], pa.large_string())).statistics}
    own = [figure for figure in member(name).figures(batch(["x"])) if figure not in shared]
    assert all(figure.startswith(f"{name}.") for figure in own), own


@pytest.mark.parametrize("name", NAMES)
def test_reasons_of_a_filter_are_different(name):
    rule = member(name)
    reasons = [one.reason for one in rule.rules(ledger_columns(rule))]
    assert reasons
    assert len(set(reasons)) == len(reasons)


def ledger_columns(rule):
    documents = batch(["x"])
    return {"num_bytes": np.array([1]), **rule.figures(documents)}
