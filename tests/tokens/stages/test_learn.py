import pytest
from pydantic import ValidationError

from whorl.core.canonical import plain
from whorl.core.errors import DataError
from whorl.core.stage import Stage, stage_names
from whorl.tokens.stages import learn
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
        "train_documents": 30,
        "train_bytes": sum(map(len, text)),
        "learnt_documents": 30,
        "learnt_bytes": sum(map(len, text)),
        "bytes_per_token_train": pytest.approx(ratio, abs=1e-4),
        "bytes_per_token_held_out": 1.0,
    }


def test_bytes_per_token_are_measured_on_the_first_documents_only(
    make_job, as_artifact, write_documents, tmp_path, monkeypatch
):
    monkeypatch.setattr(learn, "_MEASURED_BYTES", 30)
    late = [(f"h{n}", "\u6771\u4eac" * 9, "held_out") for n in range(4)]
    rows = [[*TRAIN, ("h", "thread " * 5, "held_out"), *late], late]
    counts, tokenizer = learnt(make_job, as_artifact, write_documents(tmp_path / "a", rows))
    assert counts["bytes_per_token_held_out"] == round(35 / len(tokenizer.encode("thread " * 5)), 4)


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
        ({"split": "gpt4"}, "qwen2"),
        ({"kind": "wordpiece", "size": 518}, "want at least 519 for kind wordpiece"),
        ({"size": 263, "mask": True}, "want at least 264 for kind bpe"),
        ({"sample": "3GB"}, "less than or equal to 2147483647"),
    ],
)
def test_a_config_that_cannot_work_is_refused(changes, complaint):
    with pytest.raises(ValidationError, match=complaint):
        Learn.model_validate({"from": "clean", **changes})


def test_the_stage_is_found_by_name():
    assert {"tokens.learn", "tokens.encode"} <= set(stage_names())
    stage = Stage.model_validate({"use": "tokens.learn", "from": "clean", "size": 512})
    fields = {"size": 512, "split": "qwen2", "kind": "bpe", "mask": False, "sample": 10**9}
    assert plain(stage) == {"use": "tokens.learn", "from": "clean", **fields}


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "unigram"])
def test_every_kind_can_be_asked_for(make_job, as_artifact, write_documents, tmp_path, kind):
    folder = write_documents(tmp_path / "a", [TRAIN])
    counts, tokenizer = learnt(make_job, as_artifact, folder, kind=kind, size=560, split="o200k")
    assert counts["vocabulary"] == tokenizer.size <= 560
    assert tokenizer.lossless
    assert counts["bytes_per_token_train"] > 1.5


def test_a_vocabulary_with_a_mask_is_as_large_as_asked_for(make_job, as_artifact, write_documents, tmp_path):
    counts, tokenizer = learnt(make_job, as_artifact, write_documents(tmp_path / "a", [TRAIN]), mask=True)
    assert (counts["vocabulary"], tokenizer.mask) == (280, 279)


def test_a_corpus_larger_than_the_sample_is_sampled_and_says_so(make_job, as_artifact, write_documents, tmp_path):
    events = []
    rows = [(f"d{n}", f"thread {n:04} of the loom", "train") for n in range(200)]
    folder = write_documents(tmp_path / "a", [rows])
    counts, _ = learnt(make_job, as_artifact, folder, events=events, sample=1000)
    size = len(rows[0][1])
    assert counts["train_documents"] == 200
    assert counts["train_bytes"] == 200 * size
    assert counts["learnt_bytes"] == counts["learnt_documents"] * size
    assert 1000 - size < counts["learnt_bytes"] <= 1000
    assert "learning from a sample: 4600 bytes of train are more than 1000" in [event.get("message") for event in events]


def test_the_sample_does_not_depend_on_shards_or_order(make_job, as_artifact, write_documents, tmp_path):
    rows = [(f"d{n}", f"thread {n} of {'loom' * (n % 5)}", "train") for n in range(90)]
    one = learnt(make_job, as_artifact, write_documents(tmp_path / "one", [rows]), sample=600)
    cut = learnt(make_job, as_artifact, write_documents(tmp_path / "cut", [rows[50:], [], rows[:50]]), sample=600)
    assert one[1].fingerprint == cut[1].fingerprint
    assert one[0] == cut[0]
    assert one[0]["learnt_bytes"] < one[0]["train_bytes"]


def test_a_document_larger_than_the_sample_is_passed_over(make_job, as_artifact, write_documents, tmp_path):
    rows = [("big", "whorl " * 500, "train"), ("small", "thread thread", "train")]
    counts, _ = learnt(make_job, as_artifact, write_documents(tmp_path / "a", [rows]), sample=100)
    assert (counts["learnt_documents"], counts["learnt_bytes"]) == (1, 13)


def test_a_sample_that_holds_no_document_is_an_error(make_job, as_artifact, write_documents, tmp_path):
    rows = [("big", "whorl " * 500, "train")]
    with pytest.raises(DataError, match=r"every document of train is larger than sample=100"):
        learnt(make_job, as_artifact, write_documents(tmp_path / "a", [rows]), sample=100)
