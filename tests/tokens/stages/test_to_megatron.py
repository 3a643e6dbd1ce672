import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from whorl.core.errors import DataError
from whorl.tokens.shards import ShardWriter, TokenShards
from whorl.tokens.stages.from_megatron import FromMegatron
from whorl.tokens.stages.to_megatron import ToMegatron
from whorl.tokens.tokenizer import Tokenizer

sys.path.append(str(Path(__file__).parents[1]))

from megatron_oracle import read_documents

TEXTS = {"train": ["The whorl turns", "", "a thread", "x"], "held_out": ["loom"], "exam": []}


@pytest.fixture
def tokens(tokenizer, as_artifact, tmp_path):
    tokenizer.save(tmp_path / "ids" / "tokenizer")
    for part, texts in TEXTS.items():
        with ShardWriter(tmp_path / "ids" / part, tokenizer) as writer:
            writer.add([f"{part}-{n}" for n in range(len(texts))], texts)
    return as_artifact("tokens", tmp_path / "ids")


@pytest.fixture
def export(make_job, tokens):
    def run(**fields):
        job = make_job("out", {"ids": tokens})
        return job.folder, ToMegatron.model_validate({"from": "ids"} | fields).run(job)

    return run


@pytest.mark.parametrize("at_once", [1 << 22, 3])
@pytest.mark.parametrize("frame", ["none", "end", "both"])
def test_every_document_is_one_sequence_with_the_frame_asked_for(export, tokenizer, monkeypatch, frame, at_once):
    monkeypatch.setattr("whorl.tokens.stages.to_megatron._TOKENS_AT_ONCE", at_once)
    folder, counts = export(frame=frame)
    head, tail = [tokenizer.bos] * (frame == "both"), [tokenizer.end] * (frame != "none")
    for part in ("train", "held_out"):
        want = [[[*head, *tokenizer.encode(text), *tail]] for text in TEXTS[part]]
        assert read_documents(folder / part) == (8, want)
        assert counts[f"{part}_tokens"] == sum(len(document[0]) for document in want)
        assert pq.read_table(folder / f"{part}.docs.parquet")["id"].to_pylist() == [f"{part}-{n}" for n in range(len(want))]
    assert not (folder / "exam.bin").exists()
    assert (counts["exam_docs"], counts["train_docs"]) == (0, 4)
    assert Tokenizer.load(folder / "tokenizer").fingerprint == tokenizer.fingerprint


def test_one_part_alone_is_written_alone(export):
    folder, counts = export(**{"from": "ids.held_out"})
    assert {path.name for path in folder.iterdir()} == {"held_out.bin", "held_out.idx", "held_out.docs.parquet", "tokenizer"}
    assert counts["held_out_docs"] == 1


def test_a_part_without_documents_is_nothing_to_export(export):
    with pytest.raises(DataError, match=r"no documents in ids\.exam; there is nothing to export"):
        export(**{"from": "ids.exam"})


@pytest.mark.parametrize("frame", ["none", "end", "both"])
def test_what_goes_out_comes_in_again_byte_for_byte(export, make_job, as_artifact, tokens, frame):
    folder, _ = export(frame=frame)
    files = {part: [f"out/{part}"] for part in ("train", "held_out")}
    job = make_job("back", {"vocab": as_artifact("tokenizer", folder / "tokenizer")})
    FromMegatron.model_validate({"tokenizer": "vocab", "files": files, "frame": frame}).run(job)
    for part in ("train", "held_out", "exam"):
        assert (job.folder / part / "ids.bin").read_bytes() == (tokens.path / part / "ids.bin").read_bytes()
        before, after = TokenShards.open(tokens.path, part), TokenShards.open(job.folder, part)
        assert [after.doc_bytes(n) for n in range(after.num_docs)] == [before.doc_bytes(n) for n in range(before.num_docs)]
