import datetime
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whorl.core.errors import DataError
from whorl.corpus.sources import Source


def read(root, **options):
    source = Source.model_validate({"use": "parquet", "path": "*.parquet", **options})
    harvests = [harvest for unit in source.units(root) for harvest in source.read(unit)]
    return [row for h in harvests for row in h.documents.to_pylist()], [s for h in harvests for s in h.skipped]


def test_fields_become_columns_and_meta(tmp_path):
    day = datetime.date(2020, 5, 17)
    table = pa.table(
        {"body": ["hello", None], "key": [7, 8], "link": ["http://x", "y"], "when": [day, day], "unread": [b"", b""]}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    options = {"text_field": "body", "id_field": "key", "columns": {"url": "link"}, "meta_fields": ["when"]}
    rows, skipped = read(tmp_path, **options)
    assert [(row["id"], row["text"], row["url"], row["source"]) for row in rows] == [("7", "hello", "http://x", "a.parquet")]
    assert json.loads(rows[0]["meta"]) == {"when": "2020-05-17"}
    assert [(skip.id, skip.reason) for skip in skipped] == [("a.parquet:1", "no_text")]


def test_rows_are_numbered_across_batches(tmp_path):
    pq.write_table(pa.table({"text": [f"t{i}" for i in range(5000)]}), tmp_path / "a.parquet")
    rows, _ = read(tmp_path)
    assert rows[4999]["id"] == "a.parquet:4999"
    assert rows[4999]["text"] == "t4999"


def test_a_missing_field_is_an_error_that_lists_what_there_is(tmp_path):
    pq.write_table(pa.table({"content": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a.parquet: no field text \(fields: content\); set text_field"):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all"])
def test_a_file_that_is_not_parquet_is_an_error_that_names_it(tmp_path, content):
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"a.parquet: not a readable Parquet file"):
        read(tmp_path)


def test_text_that_is_not_utf8_is_an_error_that_names_the_file(tmp_path):
    offsets = pa.array([0, 2], pa.int32()).buffers()[1]
    bad = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(b"\xff\xfe"))
    pq.write_table(pa.table({"text": bad}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a.parquet"):
        read(tmp_path)


def test_a_damaged_file_is_counted_when_the_recipe_says_so(tmp_path):
    pq.write_table(pa.table({"text": ["one"]}), tmp_path / "b.parquet")
    (tmp_path / "a.parquet").write_bytes(b"not parquet at all")
    (tmp_path / "c.parquet").mkdir()
    rows, skipped = read(tmp_path, on_error="skip")
    assert [row["text"] for row in rows] == ["one"]
    assert [(skip.id, skip.reason) for skip in skipped] == [("a.parquet", "damaged"), ("c.parquet", "folder")]


def test_one_long_text_repeated_a_million_times_is_a_bomb(tmp_path):
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), pa.array(["x" * 10_000]))
    pq.write_table(pa.table({"text": column}), tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 100_000
    rows, skipped = read(tmp_path, on_error="skip", max_unpacked=100_000_000)
    assert [skip.reason for skip in skipped] == ["bomb"]
    assert 10_000 <= len(rows) < 11_000


def test_batches_are_bounded_in_bytes_not_in_rows(tmp_path):
    pq.write_table(pa.table({"text": [f"{n}" * 400_000 for n in range(10, 30)]}), tmp_path / "a.parquet", compression="none")
    source = Source.model_validate({"use": "parquet", "path": "*.parquet"})
    sizes = [len(harvest.documents) for harvest in source.read(source.units(tmp_path)[0])]
    assert sum(sizes) == 20
    assert max(sizes) == 10
