import json

import pyarrow as pa
import pyarrow.parquet as pq

from whorl.core.shards import iter_tables, read_table, shard_paths
from whorl.corpus.ledger import LEDGER
from whorl.corpus.rows import DocumentRows, Skip
from whorl.corpus.shard_writer import write_shards


def harvest(*texts, skipped=()):
    rows = DocumentRows()
    for text in texts:
        rows.add({"id": text[:8], "text": text, "source": "s"})
    for reason in skipped:
        rows.skip(Skip("id", "s", reason))
    return rows.harvest()


def test_documents_skips_and_counts_are_written_as_they_come(tmp_path):
    write_shards(
        iter([harvest("one", skipped=["empty"]), harvest("three"), harvest(skipped=["empty", "bomb"])]), tmp_path, 10**6
    )
    assert [table["text"].to_pylist() for table in iter_tables(tmp_path)] == [["one", "three"]]
    ledger = read_table(tmp_path / "ledger.parquet")
    assert ledger.schema == LEDGER
    assert ledger["reason"].to_pylist() == ["empty", "empty", "bomb"]
    assert json.loads((tmp_path / "counts.json").read_text()) == {
        "documents": 2,
        "bytes": 8,
        "skipped": {"bomb": 1, "empty": 2},
    }


def test_a_file_ends_once_it_is_full_and_a_large_document_has_its_own(tmp_path):
    write_shards((harvest(text) for text in ["a" * 400, "b" * 700, "c" * 5000, "d", "e"]), tmp_path, 1000)
    assert [[text[:1] for text in table["text"].to_pylist()] for table in iter_tables(tmp_path)] == [
        ["a", "b"],
        ["c"],
        ["d", "e"],
    ]


def test_small_files_share_a_row_group_and_large_ones_do_not(tmp_path):
    write_shards((harvest(f"{n} {'x' * 4_000_000}") for n in range(4)), tmp_path, 10**9)
    (path,) = shard_paths(tmp_path)
    assert [pq.ParquetFile(path).metadata.row_group(i).num_rows for i in range(2)] == [2, 2]


def test_nothing_at_all_is_an_empty_ledger(tmp_path):
    write_shards(iter([]), tmp_path, 10)
    assert shard_paths(tmp_path) == []
    assert len(read_table(tmp_path / "ledger.parquet")) == 0


def test_the_same_harvests_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_shards((harvest(f"{n}" * 900, skipped=["empty"]) for n in range(50)), tmp_path / name, 5000)
    files = {name: {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("a", "b")}
    assert files["a"] == files["b"]
    assert len(files["a"]) > 5


def test_rows_begin_again_after_a_harvest():
    rows = DocumentRows({"licence": "mine"})
    rows.add({"id": "1", "text": "x" * 8_000_000, "source": "s"})
    assert rows.is_full
    assert rows.harvest().documents["licence"].to_pylist() == ["mine"]
    assert not rows.is_full
    assert rows.harvest().documents.equals(pa.table(rows.harvest().documents))
