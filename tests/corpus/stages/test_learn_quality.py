import json
import random

import pytest

from whorl.core.errors import DataError
from whorl.core.shards import iter_tables
from whorl.core.stage import Stage
from whorl.text.linear import LinearClassifier

GOOD = ["river", "lamp", "stone", "walk", "night", "sea", "the", "of"]
BAD = ["click", "login", "cart", "cookie", "menu", "night", "the", "of"]
PARTS = {"train": 0.6, "held_out": 0.3, "exam": 0.1}
LEARN = {"use": "corpus.learn_quality", "positives": "good", "negatives": "bad", "features": {"bits": 14}}


def texts(words, *, seed, count):
    chooser = random.Random(seed)
    return [" ".join(chooser.choice(words) for _ in range(30)) for _ in range(count)]


def refined(workshop, name, lines, *, parts=None):
    """Documents of one kind, each a group of its own, with parts."""
    rows = (json.dumps({"text": line}) for line in lines)
    workshop.write(f"{name}.jsonl", "\n".join(rows) + "\n")
    workshop.run(f"{name}_pages", use="corpus.collect", sources=[{"use": "jsonl", "path": f"{name}.jsonl"}])
    parted = {"group_by": "id", "parts": parts or PARTS}
    workshop.run(name, **{"use": "corpus.refine", "from": f"{name}_pages", **parted})


@pytest.fixture
def kinds(workshop):
    refined(workshop, "good", texts(GOOD, seed=1, count=150))
    refined(workshop, "bad", texts(BAD, seed=2, count=120))
    return workshop


def report(workshop, name="model"):
    return json.loads((workshop.folder(name) / "report.json").read_text())


def test_kinds_that_differ_are_told_apart_on_documents_never_seen(kinds):
    counts = kinds.run("model", **LEARN)
    assert counts["train.positives"] + counts["held_out.positives"] < 150  # the exam is left alone
    assert counts["held_out.positives"] > 20
    assert counts["auc"] > 0.99
    assert counts["recall"] > 0.9
    assert counts["precision"] > 0.9


def test_kinds_that_do_not_differ_are_reported_as_such(workshop):
    refined(workshop, "good", texts(GOOD, seed=1, count=150))
    refined(workshop, "bad", texts(GOOD, seed=2, count=150))
    assert 0.3 < workshop.run("model", **LEARN)["auc"] < 0.7


def test_report_lists_thresholds_and_the_words_that_decide(kinds):
    counts = kinds.run("model", **LEARN)
    value = report(kinds)
    assert value["counts"]["train.negatives"] == counts["train.negatives"]
    assert [point["threshold"] for point in value["operating_points"]][:2] == [0.05, 0.1]
    positive, negative = ({word for word, _ in value["telling_words"][kind][:5]} for kind in ("positive", "negative"))
    assert positive <= set(GOOD[:6])
    assert negative <= set(BAD[:5])


def parts_of(workshop, name):
    """Part of every document, in the order of the lines."""
    rows = [row for table in iter_tables(workshop.folder(name)) for row in table.select(["id", "part"]).to_pylist()]
    return [row["part"] for row in sorted(rows, key=lambda row: int(row["id"].rpartition(":")[2]))]


def test_training_does_not_look_at_other_parts(kinds, workshop_at, tmp_path):
    kinds.run("model", **LEARN)
    other = workshop_at(tmp_path / "other")
    for name, words, seed, count in (("good", GOOD, 1, 150), ("bad", BAD, 2, 120)):
        lines = zip(texts(words, seed=seed, count=count), parts_of(kinds, name), strict=True)
        refined(other, name, [line if part == "train" else f"{line} unheard" for line, part in lines])
        assert parts_of(other, name) == parts_of(kinds, name)
    other.run("model", **LEARN)
    first, second = (LinearClassifier.load(workshop.folder("model")) for workshop in (kinds, other))
    assert (first.weights == second.weights).all()
    assert first.bias == second.bias
    assert report(kinds) != report(other)


def test_learning_twice_gives_the_same_bytes(kinds):
    kinds.run("model", **LEARN)
    kinds.run("again", **LEARN)
    assert kinds.files("model") == kinds.files("again")


def test_what_the_inputs_are_called_is_no_part_of_the_classifier(kinds):
    kinds.run("model", **LEARN)
    kinds.made["prose"] = kinds.made["good"]
    kinds.run("again", **{**LEARN, "positives": "prose"})
    assert kinds.files("model") == kinds.files("again")


def test_a_sample_is_taken_of_kinds_that_are_too_large(kinds):
    counts = kinds.run("model", **LEARN, max_documents=15)
    assert [counts[f"{part}.{kind}"] for part in ("train", "held_out") for kind in ("positives", "negatives")] == [15] * 4


def test_positives_that_are_rare_have_lower_scores(kinds):
    kinds.run("even", **LEARN)
    kinds.run("rare", **LEARN, positive_share=0.01)
    even, rare = (report(kinds, name)["operating_points"][9] for name in ("even", "rare"))
    assert rare["false_positives"] <= even["false_positives"]
    assert rare["true_positives"] <= even["true_positives"]


def test_too_few_documents_are_an_error_that_says_what_to_change(kinds, workshop):
    refined(workshop, "few", texts(BAD, seed=3, count=20), parts={"train": 1.0, "held_out": 0.0, "exam": 0.0})
    with pytest.raises(DataError, match="'few' has 0 documents of the part held_out, want at least 10"):
        workshop.run("model", **{**LEARN, "negatives": "few"})


def test_a_part_may_not_be_named():
    with pytest.raises(ValueError, match=r"want 'good', got 'good\.train'"):
        Stage.model_validate({**LEARN, "positives": "good.train"})


def test_fitting_that_was_cut_short_is_said(kinds):
    kinds.run("model", **LEARN, max_steps=2)
    said = [event["message"] for event in kinds.events if event["kind"] == "warning"]
    assert any("not converged" in message for message in said)
