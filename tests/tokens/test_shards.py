import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.core.errors import ArtifactError, DataError
from whorl.core.seed import Seed
from whorl.core.shards import read_table, write_table
from whorl.tokens.learn import learn_tokenizer
from whorl.tokens.loader import Loader
from whorl.tokens.sequences import text_sequences
from whorl.tokens.shards import ShardWriter, TokenShards, join_shards, storage
from whorl.tokens.tokenizer import VOCABULARY_FILE, EncodedColumn, Tokenizer

TINY = learn_tokenizer(["the thread follows the thread"], size=280)


def write(folder: Path, texts, tokenizer=TINY, first=0):
    tokenizer.save(folder / "tokenizer")
    with ShardWriter(folder / "train", tokenizer) as writer:
        writer.add([f"d{first + n}" for n in range(len(texts))], texts)
    return folder


@given(texts=st.lists(st.text(max_size=30), max_size=8))
def test_documents_come_back_framed_and_whole(tmp_path_factory, texts):
    shards = TokenShards.open(write(tmp_path_factory.mktemp("shards"), texts), "train")
    assert shards.num_docs == len(texts)
    for number, text in enumerate(texts):
        ids = shards.doc(number)
        assert (ids[0], ids[-1]) == (TINY.bos, TINY.end)
        assert TINY.decode(ids[1:-1]) == text
        assert shards.doc_id(number) == f"d{number}"
        assert shards.doc_bytes(number) == len(text.encode())
    assert shards.num_tokens == sum(len(TINY.encode(text)) + 2 for text in texts)
    assert shards.num_bytes == sum(len(text.encode()) for text in texts)


@given(texts=st.lists(st.text(max_size=20), max_size=9), cut=st.integers(0, 9))
def test_joined_pieces_are_byte_equal_to_one_write(tmp_path_factory, texts, cut):
    folder = tmp_path_factory.mktemp("shards")
    write(folder / "whole", texts)
    pieces = [write(folder / "a", texts[:cut]), write(folder / "b", texts[cut:], first=len(texts[:cut]))]
    join_shards([piece / "train" for piece in pieces], folder / "joined", TINY)
    for name in ("ids.bin", "docs.parquet"):
        assert (folder / "joined" / name).read_bytes() == (folder / "whole" / "train" / name).read_bytes()


@given(texts=st.lists(st.text(max_size=20), max_size=9), cut=st.integers(0, 9))
def test_columns_added_in_pieces_are_byte_equal_to_lists_added_at_once(tmp_path_factory, texts, cut):
    folder = tmp_path_factory.mktemp("shards")
    write(folder / "whole", texts)
    with ShardWriter(folder / "cut", TINY) as writer:
        for piece in (slice(None, cut), slice(cut, None)):
            names = [f"d{n}" for n in range(len(texts))][piece]
            writer.add(pa.array(names, pa.string()), pa.array(texts[piece], pa.large_string()))
    for name in ("ids.bin", "docs.parquet"):
        assert (folder / "cut" / name).read_bytes() == (folder / "whole" / "train" / name).read_bytes()


def test_an_encoded_id_outside_the_vocabulary_is_an_error(tmp_path: Path):
    encoded = EncodedColumn(np.array([5, TINY.size], np.uint32), np.array([0, 2]))
    with pytest.raises(DataError, match="id 269 is outside the vocabulary of 269"), ShardWriter(tmp_path, TINY) as writer:
        writer.add_encoded(pa.array(["a"]), encoded, np.array([3]))


def test_documents_are_found_by_their_ids(tmp_path: Path):
    shards = TokenShards.open(write(tmp_path, ["a", "b", "c", "d"]), "train")
    assert shards.numbers(pa.array(["d3", "nobody", "d1"])).tolist() == [1, 3]
    assert shards.numbers(pa.array([], pa.string())).tolist() == []


def test_joining_nothing_gives_an_empty_part(tmp_path: Path):
    TINY.save(tmp_path / "tokenizer")
    join_shards([], tmp_path / "exam", TINY)
    shards = TokenShards.open(tmp_path, "exam")
    assert (shards.num_docs, shards.num_tokens, shards.num_bytes) == (0, 0, 0)


def test_an_id_takes_two_bytes_up_to_65536_ids(tmp_path: Path):
    assert (storage(65536), storage(65537)) == ("uint16", "uint32")
    shards = TokenShards.open(write(tmp_path, ["abc"]), "train")
    assert shards.doc(0).dtype == np.dtype("<u2")
    assert (tmp_path / "train" / "ids.bin").stat().st_size == 2 * shards.num_tokens


def test_a_large_vocabulary_is_kept_in_four_bytes(tmp_path: Path):
    value = json.loads(TINY.files[VOCABULARY_FILE])
    value["model"]["vocab"] |= {f"unreachable{n}": n for n in range(TINY.size, 65537)}
    large = Tokenizer({**TINY.files, VOCABULARY_FILE: json.dumps(value)})
    shards = TokenShards.open(write(tmp_path, ["the thread"], large), "train")
    assert shards.doc(0).dtype == np.dtype("<u4")
    assert large.decode(shards.doc(0)) == "<|bos|>the thread<|end|>"


def test_occurrences_count_every_id(tmp_path: Path):
    shards = TokenShards.open(write(tmp_path, ["aab", ""]), "train")
    counts = shards.occurrences(TINY.size)
    a, b = TINY.encode("a")[0], TINY.encode("b")[0]
    assert (counts[TINY.bos], counts[TINY.end], counts[a], counts[b]) == (2, 2, 2, 1)
    assert counts.sum() == shards.num_tokens


def test_what_is_read_cannot_be_written(tmp_path: Path):
    shards = TokenShards.open(write(tmp_path, ["abc"]), "train")
    with pytest.raises(ValueError, match="read-only"):
        shards.doc(0)[0] = 5


def test_a_missing_part_is_named(tmp_path: Path):
    with pytest.raises(ArtifactError, match=r"exam/ids\.bin: missing; want a tokens artifact with the part 'exam'"):
        TokenShards.open(write(tmp_path, ["abc"]), "exam")


def test_ids_cut_short_are_noticed(tmp_path: Path):
    write(tmp_path, ["abc", "def"])
    ids = tmp_path / "train" / "ids.bin"
    ids.write_bytes(ids.read_bytes()[:-2])
    with pytest.raises(ArtifactError, match=r"ids.bin: 18 bytes, but docs.parquet lists 2 documents of 20 bytes in all"):
        TokenShards.open(tmp_path, "train")


def test_a_table_that_contradicts_itself_is_noticed(tmp_path: Path):
    write(tmp_path, ["abc", "def"])
    path = tmp_path / "train" / "docs.parquet"
    docs = read_table(path)
    starts = docs["start"].to_pylist()
    write_table(docs.set_column(1, docs.schema.field(1), pa.array(starts[::-1])), path)
    with pytest.raises(ArtifactError, match=r"docs\.parquet: starts do not follow from the lengths"):
        TokenShards.open(tmp_path, "train")
    write_table(docs.replace_schema_metadata({"ids": "float64"}), path)
    with pytest.raises(ArtifactError, match=r"docs\.parquet: ids of type 'float64', .* want uint16 or uint32"):
        TokenShards.open(tmp_path, "train")


def test_another_tokenizer_beside_the_ids_is_noticed(tmp_path: Path):
    write(tmp_path, ["abc"])
    learn_tokenizer(["other text, other merges"], size=270).save(tmp_path / "tokenizer")
    with pytest.raises(ArtifactError, match="but train was encoded with"):
        TokenShards.open(tmp_path, "train")


def test_a_writer_that_failed_leaves_nothing_that_opens(tmp_path: Path):
    TINY.save(tmp_path / "tokenizer")
    with pytest.raises(DataError, match="lone surrogate"), ShardWriter(tmp_path / "train", TINY) as writer:
        writer.add(["a", "b"], ["text", "\ud800"])
    with pytest.raises(ArtifactError, match=r"docs\.parquet: missing"):
        TokenShards.open(tmp_path, "train")


def test_a_document_far_longer_than_a_row_is_read_whole(tmp_path: Path):
    text = "spin " * 2000
    shards = TokenShards.open(write(tmp_path, [text, "short"]), "train")
    loader = Loader(text_sequences(shards), rows=4, width=64, seed=Seed(1))
    batches = [loader.batch(step) for step in range(loader.steps_per_epoch)]
    assert sum(batch.num_targets for batch in batches) == shards.num_tokens - 2
    assert {name for batch in batches for row in batch.doc_ids for name in row} == {"d0", "d1"}
