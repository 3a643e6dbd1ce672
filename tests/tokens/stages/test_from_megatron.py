import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from whorl.core.canonical import plain
from whorl.core.errors import DataError
from whorl.tokens.shards import TokenShards
from whorl.tokens.stages.from_megatron import FromMegatron

sys.path.append(str(Path(__file__).parents[1]))

from megatron_oracle import write_documents

TEXTS = ["The whorl turns", "", "Na\u00efve d\u00e9j\u00e0", "a thread"]


@pytest.fixture
def bring_in(make_job, as_artifact, tokenizer, tmp_path):
    """Write files as Megatron does, run the stage over them; the artifact's folder, counts and events."""
    tokenizer.save(tmp_path / "vocabulary")

    def run(documents, code=8, **fields):
        write_documents(tmp_path / "web_text", documents, code)
        events = []
        job = make_job("out", {"vocab": as_artifact("tokenizer", tmp_path / "vocabulary")}, events=events)
        stage = FromMegatron.model_validate({"tokenizer": "vocab", "files": {"train": ["web_text"]}, "frame": "none"} | fields)
        return job.folder, stage.run(job), events

    return run


def framed(tokenizer, frame):
    """Each text as one document of two sequences, with what the frame says."""
    for text in TEXTS:
        ids = tokenizer.encode(text)
        head, tail = [tokenizer.bos] * (frame == "both"), [tokenizer.end] * (frame != "none")
        yield [[*head, *ids[:2]], [*ids[2:], *tail]]


@pytest.mark.parametrize("frame", ["none", "end", "both"])
@pytest.mark.parametrize("code", [4, 8])
def test_documents_come_in_framed_named_and_measured(bring_in, tokenizer, frame, code):
    folder, counts, events = bring_in(list(framed(tokenizer, frame)), code, frame=frame)
    shards = TokenShards.open(folder, "train")
    assert [tokenizer.decode(shards.doc(n)) for n in range(4)] == [f"<|bos|>{text}<|end|>" for text in TEXTS]
    assert [shards.doc_id(n) for n in range(4)] == [f"web_text:{n}" for n in range(4)]
    assert [shards.doc_bytes(n) for n in range(4)] == [len(text.encode()) for text in TEXTS]
    assert counts["train_docs"] == 4
    assert (counts["exam_docs"], counts["special_ids_inside"]) == (0, 0)
    assert TokenShards.open(folder, "held_out").num_docs == 0
    assert not [event for event in events if event["kind"] == "warning"]


def test_many_slabs_are_read_like_one(bring_in, tokenizer, monkeypatch):
    whole = bring_in(list(framed(tokenizer, "end")), frame="end")[0] / "train"
    before = {path.name: path.read_bytes() for path in whole.iterdir()}
    monkeypatch.setattr("whorl.tokens.stages.from_megatron._TOKENS_AT_ONCE", 3)
    after = bring_in(list(framed(tokenizer, "end")), frame="end")[0] / "train"
    assert {path.name: path.read_bytes() for path in after.iterdir()} == before


def test_special_ids_inside_are_kept_counted_and_told(bring_in, tokenizer):
    ids = tokenizer.encode("ab")
    folder, counts, events = bring_in([[[*ids, tokenizer.end, *ids]]])
    assert counts["special_ids_inside"] == 1
    assert tokenizer.decode(TokenShards.open(folder, "train").doc(0)) == "<|bos|>ab<|end|>ab<|end|>"
    assert [e["message"][:33] for e in events if e["kind"] == "warning"] == ["1 special ids inside documents: t"]


@pytest.mark.parametrize(
    ("documents", "fields", "complaint"),
    [
        ([[[9, 340]]], {}, "id 340 is outside the vocabulary of 340; wrong tokenizer"),
        ([[[9, -5]]], {}, "id -5 is outside the vocabulary"),
        ([[[9, 1]], [[9]]], {"frame": "end"}, "document web_text:1 does not end with id 1 "),
        ([[[0, 9, 1]], [[9, 9, 1]]], {"frame": "both"}, "document web_text:1 does not begin with id 0 "),
        ([[[1]], [[]]], {"frame": "end"}, "document web_text:1 has fewer ids than frame: end asks for"),
        ([[[1]]], {"frame": "both"}, "document web_text:0 has fewer ids than frame: both asks for"),
    ],
)
def test_a_document_that_is_not_as_written_is_named(bring_in, documents, fields, complaint):
    with pytest.raises(DataError, match=complaint):
        bring_in(documents, 4, **fields)


def test_contents_and_names_are_the_identity_and_paths_are_not(bring_in, tmp_path):
    bring_in([[[9]]])
    stage = FromMegatron.model_validate({"tokenizer": "vocab", "files": {"train": ["web_text"]}, "frame": "none"})
    assert set(stage.raw_inputs(tmp_path)) == {"files.train.0.web_text.bin", "files.train.0.web_text.idx"}
    assert plain(stage, hashed_only=True) == {"use": "tokens.from_megatron", "tokenizer": {"part": None}, "frame": "none"}
    with pytest.raises(DataError, match=r"gone\.bin: missing; want NAME\.bin and NAME\.idx"):
        stage.model_copy(update={"files": {"train": ("gone",)}}).raw_inputs(tmp_path)


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"train": ["a/x", "b/x"]}, "files: x; want files with different names"),
        ({"train": []}, "files: none; want files"),
        ({}, "at least 1 item"),
        ({"test": ["x"]}, "'train', 'held_out' or 'exam'"),
    ],
)
def test_files_that_cannot_be_told_apart_or_placed_are_refused(files, complaint):
    with pytest.raises(ValidationError, match=complaint):
        FromMegatron.model_validate({"tokenizer": "vocab", "files": files, "frame": "none"})


def test_the_frame_is_never_guessed():
    with pytest.raises(ValidationError, match="frame"):
        FromMegatron.model_validate({"tokenizer": "vocab", "files": {"train": ["x"]}})
