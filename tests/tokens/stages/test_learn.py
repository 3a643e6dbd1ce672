import pytest
from pydantic import ValidationError

from whorl.core.canonical import plain
from whorl.core.errors import DataError
from whorl.core.stage import Stage, stage_names
from whorl.tokens.stages.learn import Learn
from whorl.tokens.tokenizer import Tokenizer

TRAIN = [(f"d{n}", f"the weaver counts {n} threads of the loom", "train") for n in range(30)]


def learnt(make_job, as_artifact, folder, events=None, **changes):
    job = make_job(folder.name + "-out", {"clean": as_artifact("documents", folder)}, events=events)
    counts = Learn.model_validate({"from": "clean", "size": 280, **changes}).run(job)
    return counts, Tokenizer.load(job.folder)


def test_a_text_outside_train_cannot_change_the_vocabulary(make_job, as_artifact, write_documents, tmp_path):
    secret = "xyzzyxyzzy " * 500
    rows = [*TRAIN, ("h", secret, "held_out"), ("e", secret, "exam")]
    with_secret = learnt(make_job, as_artifact, write_documents(tmp_path / "a", [rows]))
    without = learnt(make_job, as_artifact, write_documents(tmp_path / "b", [[*TRAIN, ("h", "plain", "held_out")]]))
    inside = learnt(make_job, as_artifact, write_documents(tmp_path / "c", [[*TRAIN, ("t", secret, "train")]]))
    assert with_secret[1].fingerprint == without[1].fingerprint
    assert inside[1].fingerprint != without[1].fingerprint, "else the test could not fail"


def test_the_vocabulary_does_not_depend_on_how_documents_are_sharded(make_job, as_artifact, write_documents, tmp_path):
    one = learnt(make_job, as_artifact, write_documents(tmp_path / "one", [TRAIN]))
    three = learnt(make_job, as_artifact, write_documents(tmp_path / "three", [TRAIN[:7], [], TRAIN[7:]]))
    assert one[1].fingerprint == three[1].fingerprint
    assert one[0] == three[0]


def test_bytes_per_token_are_measured_on_both_parts(make_job, as_artifact, write_documents, tmp_path):
    rows = [*TRAIN, ("h", "\u6771\u4eac", "held_out")]
    counts, tokenizer = learnt(make_job, as_artifact, write_documents(tmp_path / "a", [rows]))
    text = [row[1] for row in TRAIN]
    ratio = sum(map(len, text)) / sum(len(tokenizer.encode(one)) for one in text)
    assert counts == {
        "vocabulary": 280,
        "bytes_per_token_train": pytest.approx(ratio, abs=1e-4),
        "bytes_per_token_held_out": 1.0,
    }


def test_a_part_without_text_is_not_measured(make_job, as_artifact, write_documents, tmp_path):
    counts, _ = learnt(make_job, as_artifact, write_documents(tmp_path / "a", [TRAIN]))
    assert counts["bytes_per_token_held_out"] == "not measured"


def test_a_text_too_poor_for_the_size_warns(make_job, as_artifact, write_documents, tmp_path):
    events = []
    counts, _ = learnt(make_job, as_artifact, write_documents(tmp_path / "a", [TRAIN]), events=events, size=5000)
    assert counts["vocabulary"] < 5000
    warnings = [event["message"] for event in events if event["kind"] == "warning"]
    assert warnings == [f"the text supports {counts['vocabulary']} ids, not 5000: no other pair of tokens occurs twice"]


def test_documents_without_a_train_part_are_an_error(make_job, as_artifact, write_documents, tmp_path):
    rows = [("a", "text", None), ("b", "text", "exam")]
    with pytest.raises(DataError, match=r"no document of the part train .* corpus\.refine first"):
        learnt(make_job, as_artifact, write_documents(tmp_path / "a", [rows]))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"size": 262}, "greater than or equal to 263"),
        ({"from": "clean.exam"}, "part train only"),
        ({"split": "gpt2"}, "qwen2"),
    ],
)
def test_a_config_that_cannot_work_is_refused(changes, complaint):
    with pytest.raises(ValidationError, match=complaint):
        Learn.model_validate({"from": "clean", **changes})


def test_the_stage_is_found_by_name():
    assert {"tokens.learn", "tokens.encode"} <= set(stage_names())
    stage = Stage.model_validate({"use": "tokens.learn", "from": "clean", "size": 512})
    assert plain(stage) == {"use": "tokens.learn", "from": "clean", "size": 512, "split": "qwen2"}
