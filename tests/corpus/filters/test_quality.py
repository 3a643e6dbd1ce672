import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.core.errors import DataError
from whorl.core.records import DOCUMENTS
from whorl.corpus.document_batch import DocumentBatch
from whorl.corpus.filters import Filter
from whorl.corpus.judge import judge
from whorl.text.batch import TextBatch
from whorl.text.hashed import Features, hashed_rows
from whorl.text.linear import LinearClassifier
from whorl.text.logistic import fit_logistic

GOOD, BAD = "the river walks to the sea at night", "click here to log in to your cart"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    features = Features(bits=12)
    rows = hashed_rows(TextBatch(pa.array([GOOD, BAD], pa.large_string())), features)
    fit = fit_logistic(rows, np.array([True, False]), np.ones(2), num_places=1 << 12, l2=1e-2)
    made = tmp_path_factory.mktemp("classifier")
    LinearClassifier.of(features, fit).save(made)
    return made


def batch(texts, folder):
    columns = {name: [None] * len(texts) for name in DOCUMENTS.names}
    columns |= {"id": [str(i) for i in range(len(texts))], "source": ["here"] * len(texts), "text": texts}
    return DocumentBatch(pa.table(columns, schema=DOCUMENTS), {"model": folder})


def test_documents_below_the_score_are_dropped_with_it(folder):
    rule = Filter.model_validate({"use": "quality", "model": "model"})
    found = rule.judge(batch([GOOD, BAD], folder))
    assert found.reason.to_pylist() == [None, "low_quality"]
    score, wanted = found.detail[1].as_py().split(", ")
    assert float(score) < 0.5
    assert wanted == "want at least 0.5"


@given(texts=st.lists(st.one_of(st.text(max_size=50), st.sampled_from([GOOD, BAD])), max_size=5))
def test_a_document_has_the_same_verdict_in_any_batch(folder, texts):
    rule = Filter.model_validate({"use": "quality", "model": "model"})
    together = rule.judge(batch(texts, folder))
    for i, text in enumerate(texts):
        alone = rule.judge(batch([text], folder))
        assert (alone.is_kept[0], alone.detail[0]) == (together.is_kept[i], together.detail[i])


def test_thresholds_can_be_changed_on_the_figures_alone(folder):
    measured = Filter.model_validate({"use": "quality", "model": "model"}).measuring().figures(batch([GOOD, BAD], folder))
    figures = pa.table({"num_bytes": [1, 1], **measured})
    for min_score, kept in ((0.0, [True, True]), (0.5, [True, False]), (1.0, [False, False])):
        strict = Filter.model_validate({"use": "quality", "model": "other", "min_score": min_score})
        assert judge([strict], figures).is_kept.tolist() == kept


def test_a_folder_that_is_no_classifier_is_refused(tmp_path):
    (tmp_path / "classifier.json").write_text("{}")
    rule = Filter.model_validate({"use": "quality", "model": "model"})
    with pytest.raises(DataError, match=r"want what corpus\.learn_quality made"):
        rule.judge(batch([GOOD], tmp_path))


def test_a_learnt_classifier_cleans_a_corpus(workshop):
    for name, word in (("good", "river"), ("bad", "click")):
        rows = [json.dumps({"text": f"{word} {GOOD if name == 'good' else BAD} number {n}"}) for n in range(60)]
        workshop.write(f"{name}.jsonl", "\n".join(rows))
        workshop.run(f"{name}_pages", use="corpus.collect", sources=[{"use": "jsonl", "path": f"{name}.jsonl"}])
        parts = {"train": 0.6, "held_out": 0.3, "exam": 0.1}
        workshop.run(name, **{"use": "corpus.refine", "from": f"{name}_pages", "group_by": "id", "parts": parts})
    workshop.run("model", use="corpus.learn_quality", positives="good", negatives="bad")
    workshop.made["model"].manifest["content"] = "of the classifier"
    sources = [{"use": "jsonl", "path": f"{name}.jsonl"} for name in ("good", "bad")]
    workshop.run("pages", use="corpus.collect", sources=sources)
    rule = {"use": "quality", "model": "model"}
    counts = workshop.run("clean", **{"use": "corpus.refine", "from": "pages", "filters": [rule], "group_by": "id"})
    assert (counts["documents_in"], counts["documents"], counts["dropped.quality.low_quality"]) == (120, 60, 60)
