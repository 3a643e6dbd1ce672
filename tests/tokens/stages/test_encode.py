import hashlib

import pytest
from pydantic import ValidationError

from whorl.core.errors import DataError
from whorl.core.pool import ProcessPool
from whorl.tokens.learn import learn_tokenizer
from whorl.tokens.shards import TokenShards
from whorl.tokens.stages.encode import Encode
from whorl.tokens.tokenizer import Tokenizer

PARTS = ("train", "train", "held_out", "train", "exam")
ROWS = [(f"d{n}", f"thread {n} of <|end|> the loom" * (n % 4), PARTS[n % 5]) for n in range(40)]


@pytest.fixture
def encode(make_job, as_artifact, write_documents, tokenizer, tmp_path):
    """Run the stage over shards of rows; returns the artifact's folder and the counts."""

    def run(name, shards, pool=None, vocabulary=tokenizer):
        vocabulary.save(tmp_path / "vocabulary")
        documents = write_documents(tmp_path / f"{name}-documents", shards)
        inputs = {"clean": as_artifact("documents", documents), "vocab": as_artifact("tokenizer", tmp_path / "vocabulary")}
        job = make_job(name, inputs, pool)
        counts = Encode.model_validate({"from": "clean", "tokenizer": "vocab"}).run(job)
        return job.folder, counts

    return run


def hashes(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_document_lands_in_its_part_in_input_order(encode, tokenizer):
    folder, counts = encode("one", [ROWS[:17], ROWS[17:]])
    for part in ("train", "held_out", "exam"):
        shards = TokenShards.open(folder, part)
        rows = [row for row in ROWS if row[2] == part]
        assert [shards.doc_id(n) for n in range(shards.num_docs)] == [row[0] for row in rows]
        assert [tokenizer.decode(shards.doc(n)) for n in range(shards.num_docs)] == [f"<|bos|>{r[1]}<|end|>" for r in rows]
        assert counts[f"{part}_docs"] == len(rows)
        assert counts[f"{part}_bytes"] == sum(len(row[1].encode()) for row in rows)
        assert counts[f"{part}_tokens"] == shards.num_tokens
    assert Tokenizer.load(folder / "tokenizer").fingerprint == tokenizer.fingerprint


def test_counts_are_those_of_the_text(encode, tokenizer):
    _, counts = encode("one", [[("a", "thread", "train"), ("b", "1", "exam")]])
    ids = tokenizer.encode("thread")
    assert counts["bytes_per_token"] == pytest.approx(7 / (len(ids) + 1), abs=1e-4)
    assert counts["unused_vocabulary"] == tokenizer.size - 2 - len(set(ids)), "train shows <|bos|>, <|end|> and this text"


def test_the_library_that_encoded_is_said_and_why_not_the_faster_one(encode):
    _, counts = encode("one", [ROWS])
    assert counts["encoder"] == "gigatoken"
    assert "encoder_reason" not in counts
    other = learn_tokenizer(["thread of the loom"] * 2, size=520, kind="wordpiece")
    folder, counts = encode("two", [ROWS], vocabulary=other)
    assert (counts["encoder"], counts["encoder_reason"]) == ("tokenizers", "gigatoken encodes BPE, and this is WordPiece")
    assert other.decode(TokenShards.open(folder, "train").doc(1)) == f"<|bos|>{ROWS[1][1]}<|end|>"


def test_many_documents_get_the_ids_of_few(encode, tokenizer):
    rows = [(f"d{n}", f"{n} threads, \ua7ce and \u017f {'loom ' * (n % 40)}<|end|>", "train") for n in range(1500)]
    shards = TokenShards.open(encode("many", [rows])[0], "train")
    for n, row in enumerate(rows):
        assert shards.doc(n).tolist() == [tokenizer.bos, *tokenizer.encode(row[1]), tokenizer.end]


def test_sharding_does_not_change_the_artifact(encode):
    whole, _ = encode("whole", [ROWS])
    cut, _ = encode("cut", [ROWS[:3], [], ROWS[3:30], ROWS[30:]])
    assert hashes(whole) == hashes(cut)
    assert set(hashes(whole)) == {
        *(f"{part}/{name}" for part in ("train", "held_out", "exam") for name in ("ids.bin", "docs.parquet")),
        *(f"tokenizer/{name}" for name in Tokenizer.load(whole / "tokenizer").files),
    }


def test_two_processes_write_what_one_writes(encode):
    shards = [ROWS[:9], ROWS[9:20], ROWS[20:]]
    alone, _ = encode("alone", shards)
    # Other text in one shard, so that the pool has something to encode rather than to find in the cache.
    changed = [(name, text + ".", part) for name, text, part in shards[1]]
    both, _ = encode("both", [changed, *shards], ProcessPool(2))
    again, _ = encode("again", [changed, *shards])
    assert hashes(both) == hashes(again)
    assert hashes(both) != hashes(alone)


def test_one_changed_shard_encodes_one_shard_again(encode, tmp_path):
    cache = tmp_path / ".whorl" / "cache" / "shards"
    encode("first", [ROWS[:9], ROWS[9:20], ROWS[20:]])
    before = set(cache.iterdir())
    assert len(before) == 3
    encode("second", [ROWS[:9], [(name, text + "!", part) for name, text, part in ROWS[9:20]], ROWS[20:]])
    assert len(set(cache.iterdir()) - before) == 1


def test_another_vocabulary_encodes_every_shard_again(encode):
    other = learn_tokenizer(["thread of the loom"] * 2, size=280)
    encode("first", [ROWS[:20], ROWS[20:]])
    folder, _ = encode("second", [ROWS[:20], ROWS[20:]], vocabulary=other)
    assert other.decode(TokenShards.open(folder, "train").doc(1)) == f"<|bos|>{ROWS[1][1]}<|end|>"


def test_what_an_interrupted_attempt_left_is_overwritten(encode, tmp_path):
    clean, _ = encode("clean", [ROWS])
    for part in ("train", "exam"):
        (tmp_path / "torn" / part).mkdir(parents=True)
        (tmp_path / "torn" / part / "ids.bin").write_bytes(b"half a line")
    torn, _ = encode("torn", [ROWS])
    assert hashes(torn) == hashes(clean)


@pytest.mark.parametrize("part", [None, "", "test"])
def test_a_document_without_a_known_part_is_an_error(encode, part):
    with pytest.raises(DataError, match=r"1 of 2 documents have no known part \(first: b, .* corpus\.refine first"):
        encode("one", [[("a", "x", "train"), ("b", "y", part)]])


def test_a_folder_without_documents_is_an_error(encode):
    with pytest.raises(DataError, match=r"no documents-\*\.parquet"):
        encode("one", [])


def test_a_reference_to_one_part_is_refused():
    with pytest.raises(ValidationError, match="every part is encoded"):
        Encode.model_validate({"from": "clean.train", "tokenizer": "vocab"})
