import json

import pytest

from whorl.core.errors import DataError
from whorl.corpus.sources import Source


def read(root, **options):
    source = Source.model_validate({"use": "jsonl", "path": "*.jsonl", **options})
    harvests = [harvest for unit in source.units(root) for harvest in source.read(unit)]
    return [row for h in harvests for row in h.documents.to_pylist()], [s for h in harvests for s in h.skipped]


def test_fields_become_columns_and_meta(tmp_path):
    row = {"body": "hello", "key": 7, "link": "http://x", "when": 2020, "score": 0.5, "rest": None}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n\n")
    rows, skipped = read(
        tmp_path, text_field="body", id_field="key", columns={"url": "link", "date": "when"}, meta_fields=["score"]
    )
    assert (rows[0]["id"], rows[0]["text"], rows[0]["url"], rows[0]["date"]) == ("7", "hello", "http://x", "2020")
    assert json.loads(rows[0]["meta"]) == {"score": 0.5}
    assert rows[0]["source"] == "a.jsonl"
    assert skipped == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "unfinished', "bad_json"),
        (b'["a list"]', "bad_json"),
        (b"[" * 100_000, "bad_json"),
        (b'{"text": "a\x00b"}', "bad_json"),  # a raw NUL is not JSON
        (b'{"text": "caf\xe9"}', "not_utf8"),
        (b'{"other": "x"}', "no_text"),
        (b'{"text": 5}', "no_text"),
        (b'{"text": "' + b"x" * 200_000 + b'"}', "too_large"),
    ],
)
def test_a_bad_line_stops_the_run_or_is_counted_with_its_reason(tmp_path, line, reason):
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "first"}\n' + line + b'\n{"text": "last"}\n')
    with pytest.raises(DataError, match=rf"a.jsonl:2: {reason}.*on_error: skip"):
        read(tmp_path, max_line=150_000)
    rows, skipped = read(tmp_path, max_line=150_000, on_error="skip")
    assert [(row["id"], row["text"]) for row in rows] == [("a.jsonl:1", "first"), ("a.jsonl:3", "last")]
    assert [(skip.id, skip.reason) for skip in skipped] == [("a.jsonl:2", reason)]


@pytest.mark.parametrize(("text", "reason"), [("", "empty"), (" \n", "empty"), ("\ud800", "not_unicode")])
def test_a_row_without_usable_text_is_counted(tmp_path, text, reason):
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": text}))
    rows, skipped = read(tmp_path)
    assert rows == []
    assert [skip.reason for skip in skipped] == [reason]


def test_an_escaped_nul_is_legal_json_and_kept(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "a\x00b"}))
    assert read(tmp_path)[0][0]["text"] == "a\x00b"


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_empty_file_is_counted(tmp_path, content):
    (tmp_path / "a.jsonl").write_bytes(content)
    rows, skipped = read(tmp_path)
    assert rows == []
    assert [(skip.id, skip.reason) for skip in skipped] == [("a.jsonl", "empty")]


def test_an_unreadable_file_follows_on_error(tmp_path):
    (tmp_path / "loop.jsonl").symlink_to(tmp_path / "loop.jsonl")
    with pytest.raises(DataError, match=r"loop\.jsonl: unreadable"):
        read(tmp_path)
    assert [skip.reason for skip in read(tmp_path, on_error="skip")[1]] == ["unreadable"]


def test_a_missing_id_is_a_bad_row(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "x"}')
    assert [skip.reason for skip in read(tmp_path, id_field="key", on_error="skip")[1]] == ["no_id"]


def test_large_files_are_handed_over_in_batches(tmp_path):
    line = json.dumps({"text": "x" * 1_000_000})
    (tmp_path / "a.jsonl").write_text("\n".join([line] * 20))
    source = Source.model_validate({"use": "jsonl", "path": "*.jsonl"})
    sizes = [len(harvest.documents) for harvest in source.read(source.units(tmp_path)[0])]
    assert sizes == [8, 8, 4]


def test_a_column_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="cannot fill text, what"):
        Source.model_validate({"use": "jsonl", "path": "x", "columns": {"what": "a", "text": "b"}})
