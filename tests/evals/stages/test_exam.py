import json
import math

import pyarrow as pa
import pytest
import torch
from pydantic import ValidationError

from whorl.core.errors import DataError
from whorl.core.records import DOCUMENTS
from whorl.core.shards import shard_path, write_table
from whorl.core.stage import Stage
from whorl.evals.windows import windows
from whorl.model.checkpoint import load
from whorl.tokens.shards import TokenShards

SUITE = {"use": "bits_per_byte", "data": "ids.exam", "documents": "clean"}
SKILLS = [{"use": "reverse"}, {"use": "add"}, {"use": "recall", "documents": "clean", "num_documents": 20}]
EXAM = {"use": "evals.exam", "models": {"base": "base", "chat": "chat"}, "tasks": [SUITE, *SKILLS], "count": 24}


@pytest.fixture(scope="module")
def sat(ground, tmp_path_factory):
    """An exam that was sat: its counts, report, folder and events."""
    folder, events = tmp_path_factory.mktemp("exam"), []
    counts = Stage.model_validate(EXAM).run(ground.job(folder, sinks=[events.append]))
    return counts, json.loads((folder / "report.json").read_text()), folder, events


def test_every_figure_has_a_unit_a_number_of_cases_and_an_interval(sat):
    _, report, _, _ = sat
    figures = report["suites"][0]["figures"]
    assert [figure["of"] for figure in figures] == ["base", "chat", "untrained", "uniform", "ngram", "xz"]
    for figure in figures:
        assert figure["unit"] == "bits per byte"
        assert figure["n"] == 12
        assert figure["how"]
        if figure["of"] == "xz":
            assert figure["interval"] == "not measured"
        else:
            low, high = figure["interval"]
            assert low <= figure["value"] <= high
    for skill in report["skills"]:
        assert skill["n"] == 24
        assert [result["of"] for result in skill["results"]] == ["base", "chat"]
        for result in skill["results"]:
            low, high = result["interval"]
            assert low <= result["value"] <= high
            assert result["is_learnt"] == (low > skill["majority"]["value"])


def test_bits_per_byte_is_what_the_model_itself_says_of_every_window(sat, ground):
    # float32 against float32 with other batches: equal to six digits
    _, report, _, _ = sat
    shards = TokenShards.open(ground.root / "ids", "exam")
    model = load(ground.root / "chat").model
    nats = sum(_nats(model, shards.doc(i)[:-1].astype("int64")) for i in range(shards.num_docs))
    figure = next(figure for figure in report["suites"][0]["figures"] if figure["of"] == "chat")
    assert figure["value"] == pytest.approx(nats / math.log(2) / shards.num_bytes, rel=1e-5)


@torch.no_grad()
def _nats(model, ids):
    total = 0.0
    for cut in windows(len(ids), model.config.max_positions):
        read = model.head(model(torch.from_numpy(ids[cut.start : cut.stop]).unsqueeze(0))).float().log_softmax(-1)[0]
        total -= sum(float(read[at - cut.start - 1, ids[at]]) for at in range(cut.first, cut.stop))
    return total


def test_an_untrained_model_is_no_better_than_its_vocabulary(sat, ground):
    _, report, _, _ = sat
    shards = TokenShards.open(ground.root / "ids", "exam")
    figure = next(figure for figure in report["suites"][0]["figures"] if figure["of"] == "untrained")
    num_text_tokens = shards.num_tokens - 2 * shards.num_docs
    vocabulary = load(ground.root / "chat").config.vocab_size
    assert figure["value"] == pytest.approx(num_text_tokens * math.log2(vocabulary) / shards.num_bytes, rel=0.02)


def test_recall_is_labelled_and_the_others_are_not(sat):
    _, report, _, _ = sat
    assert {skill["use"]: skill["is_recall"] for skill in report["skills"]} == {"reverse": False, "add": False, "recall": True}


def test_wrong_answers_are_shown_with_what_was_wanted(sat):
    _, report, _, _ = sat
    for skill in report["skills"]:
        for result in skill["results"]:
            assert result["right"] or result["wrong"]
            assert all(shown["answered"].strip() != shown["wanted"] for shown in result["wrong"])
            assert all(shown["answered"].strip() == shown["wanted"] for shown in result["right"])


def test_counts_are_the_headline_of_the_report(sat):
    counts, report, _, _ = sat
    assert counts["uniform.bits_per_byte"] == 8.0
    assert counts["chat.add"] == report["skills"][1]["results"][1]["value"]
    assert counts["num_skills"] == 3
    assert counts["chat.num_learnt"] == sum(skill["results"][1]["is_learnt"] for skill in report["skills"])


def test_the_same_exam_writes_the_same_bytes(sat, ground, tmp_path):
    _, _, folder, _ = sat
    Stage.model_validate(EXAM).run(ground.job(tmp_path / "again"))
    for name in ("report.json", "report.html"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_the_order_of_the_models_changes_the_page_alone(sat, ground, tmp_path):
    _, _, folder, _ = sat
    turned = {**EXAM, "models": {"chat": "chat", "base": "base"}}
    Stage.model_validate(turned).run(ground.job(tmp_path))
    assert (tmp_path / "report.json").read_bytes() == (folder / "report.json").read_bytes()
    assert (tmp_path / "report.html").read_bytes() != (folder / "report.html").read_bytes()


def test_progress_ends_at_the_total_it_announced(sat):
    _, _, _, events = sat
    told = [event for event in events if event["kind"] == "progress"]
    assert {event["total"] for event in told} == {12 * 6 + 24 * 2 * 3}
    assert told[-1]["step"] == told[-1]["total"]


def test_the_page_names_every_model_and_skill(sat):
    _, _, folder, _ = sat
    text = (folder / "report.html").read_text()
    assert all(word in text for word in ("base", "chat", "reverse", "recall", "Bits per byte on exam documents"))


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"models": {}}, "at least 1 item"),
        ({"models": {"untrained": "base"}}, "'untrained' is the name of a baseline"),
        ({"tasks": []}, "at least 1 item"),
        ({"tasks": [{"use": "bits_per_byte", "data": "ids.train"}]}, "want a part that no model is trained on"),
        ({"tasks": [{"use": "revers"}]}, "did you mean 'reverse'"),
    ],
)
def test_an_exam_that_means_nothing_is_refused_when_the_recipe_is_read(change, wanted):
    with pytest.raises(ValidationError, match=wanted):
        Stage.model_validate({**EXAM, **change})


def test_documents_other_than_the_tokens_are_refused(ground, tmp_path):
    job = ground.job(tmp_path)
    write_other(tmp_path / "other")
    job.inputs["clean"] = job.inputs["clean"].__class__("documents", "x", tmp_path / "other", {})
    with pytest.raises(DataError, match=r"set `documents` to the corpus that tokens.encode read"):
        Stage.model_validate({**EXAM, "tasks": [SUITE]}).run(job)


def write_other(folder):
    rows = [{"id": "other", "text": "Another text.", "source": "test", "part": "train", "meta": "{}"}]
    write_table(pa.Table.from_pylist(rows, schema=DOCUMENTS), shard_path(folder, "documents", 0))
