from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.core.errors import DataError
from whorl.core.shards import ShardCache, iter_tables, read_table, shard_path, shard_paths, write_table

TABLE = pa.table({"id": ["a", "b"], "n": [1, 2]})


def test_shards_are_numbered_and_come_back_in_order(tmp_path: Path) -> None:
    for number in (10, 2, 0):
        write_table(pa.table({"n": [number]}), shard_path(tmp_path / "out", "documents", number))
    assert [path.name for path in shard_paths(tmp_path / "out")] == [f"documents-{n:05d}.parquet" for n in (0, 2, 10)]
    assert [table["n"].to_pylist() for table in iter_tables(tmp_path / "out")] == [[0], [2], [10]]
    assert shard_paths(tmp_path / "out", "ledger") == []


@given(ids=st.lists(st.text(max_size=5), max_size=5))
def test_a_table_survives_its_file_and_equal_tables_are_equal_files(
    ids: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    table = pa.table({"id": pa.array(ids, pa.string())})
    write_table(table, folder / "one.parquet")
    write_table(table, folder / "two.parquet")
    assert read_table(folder / "one.parquet") == table
    assert (folder / "one.parquet").read_bytes() == (folder / "two.parquet").read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["one.parquet", "two.parquet"]


def test_only_the_columns_asked_for_are_read(tmp_path: Path) -> None:
    write_table(TABLE, tmp_path / "documents-00000.parquet")
    assert read_table(tmp_path / "documents-00000.parquet", ["n"]).column_names == ["n"]
    assert next(iter_tables(tmp_path, columns=["id"])).column_names == ["id"]


@pytest.mark.parametrize("content", [b"", b"not parquet at all", None])
def test_what_is_not_parquet_is_an_error_naming_the_file(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.parquet: not a readable Parquet file"):
        read_table(tmp_path / "x.parquet")


def test_a_step_is_done_once_per_key(tmp_path: Path) -> None:
    cache = ShardCache(tmp_path)
    calls: list[Path] = []

    def step(folder: Path) -> None:
        calls.append(folder)
        (folder / "out.txt").write_text("done")

    key = cache.key("clean", 1, {"min": 3}, "f" * 64)
    assert not cache.has(key)
    assert cache.make(key, step) == cache.make(key, step) == cache.folder(key)
    assert cache.has(key)
    assert len(calls) == 1
    assert (cache.folder(key) / "out.txt").read_text() == "done"


@pytest.mark.parametrize(
    "other", [("edit", 1, {}, "a"), ("clean", 2, {}, "a"), ("clean", 1, {"x": 1}, "a"), ("clean", 1, {}, "b")]
)
def test_step_version_config_and_inputs_are_all_in_the_key(other: tuple) -> None:
    assert ShardCache.key(*other) != ShardCache.key("clean", 1, {}, "a")


def test_a_step_that_failed_leaves_nothing_that_looks_done_and_starts_afresh(tmp_path: Path) -> None:
    cache = ShardCache(tmp_path)

    def fails(folder: Path) -> None:
        (folder / "half.txt").write_text("")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.make("k", fails)
    assert not cache.has("k")
    made = cache.make("k", lambda folder: (folder / "whole.txt").touch())
    assert [path.name for path in made.iterdir()] == ["whole.txt"]


def test_of_two_processes_doing_the_same_step_both_get_the_one_result(tmp_path: Path) -> None:
    cache = ShardCache(tmp_path)

    def overtaken(folder: Path) -> None:
        (folder / "out.txt").touch()
        cache.folder("k").mkdir()
        (cache.folder("k") / "out.txt").touch()

    assert cache.make("k", overtaken) == cache.folder("k")
    assert [path.name for path in cache.folder("k").parent.iterdir()] == ["k"]


def test_a_rename_that_fails_for_another_reason_is_not_taken_for_success(tmp_path: Path) -> None:
    cache = ShardCache(tmp_path)
    with pytest.raises(OSError, match="Not a directory"):
        cache.make("k", lambda folder: cache.folder("k").touch())
