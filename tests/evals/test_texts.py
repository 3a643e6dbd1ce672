import pytest

from whorl.core.errors import DataError
from whorl.core.shards import read_table, shard_path, write_table
from whorl.evals.texts import text_behind


def changed_documents(ground, folder, change):
    table = read_table(shard_path(ground.root / "clean", "documents", 0))
    rows = [change(row) for row in table.to_pylist()]
    write_table(type(table).from_pylist([row for row in rows if row], schema=table.schema), shard_path(folder, "documents", 0))
    return folder


def test_texts_come_in_the_order_of_the_shards_whatever_the_order_of_the_documents(ground, tmp_path):
    table = read_table(shard_path(ground.root / "clean", "documents", 0))
    write_table(table.slice(0, 50), shard_path(tmp_path, "documents", 1))
    write_table(table.slice(50), shard_path(tmp_path, "documents", 0))
    straight = text_behind(ground.root / "clean", ground.root / "ids", "train")
    assert text_behind(tmp_path, ground.root / "ids", "train") == straight
    assert straight[3].startswith(b"Return the number 3 of the mill.")


def test_a_missing_document_is_an_error(ground, tmp_path):
    changed_documents(ground, tmp_path, lambda row: None if row["id"] == "d205" else row)
    with pytest.raises(DataError, match=r"1 documents of the token shards are not among.*d205"):
        text_behind(tmp_path, ground.root / "ids", "exam")


def test_a_document_that_moved_to_another_part_is_an_error(ground, tmp_path):
    changed_documents(ground, tmp_path, lambda row: row | {"part": "exam"} if row["id"] == "d3" else row)
    with pytest.raises(DataError, match=r"1 documents are not in the shards.*d3"):
        text_behind(tmp_path, ground.root / "ids", "exam")


def test_a_text_of_another_length_is_an_error(ground, tmp_path):
    changed_documents(ground, tmp_path, lambda row: row | {"text": row["text"] + "!"} if row["id"] == "d205" else row)
    with pytest.raises(DataError, match=r"document d205.*set `documents`"):
        text_behind(tmp_path, ground.root / "ids", "exam")
