import gzip
import json
import lzma

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from whorl.core.errors import DataError
from whorl.corpus.files import Unit
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
        (b'{"text": "x", "n": ' + b"9" * 10_000 + b"}", "bad_json"),  # Python refuses to read such a number
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


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "first"}\n')
    assert [row["text"] for row in read(tmp_path)[0]] == ["first"]


@pytest.mark.parametrize("place", ["id", "link", "score"])
def test_a_row_with_a_lone_surrogate_anywhere_but_in_meta_is_counted(tmp_path, place):
    rows = [{"id": "1", "text": "before"}, {"id": "2", "text": "odd", place: "\ud800"}, {"id": "3", "text": "after"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found, skipped = read(tmp_path, id_field="id", columns={"url": "link"}, meta_fields=["score"])
    if place == "score":
        assert [row["id"] for row in found] == ["1", "2", "3"]
        assert json.loads(found[1]["meta"]) == {"score": "\ud800"}
    else:
        assert [row["id"] for row in found] == ["1", "3"]
        assert [(skip.id, skip.reason) for skip in skipped] == [("\\ud800" if place == "id" else "2", "not_unicode")]


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


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: zstandard.ZstdCompressor().compress(data), lzma.compress])
def test_compressed_files_are_unpacked_and_a_clipped_one_is_kept_up_to_its_last_whole_line(tmp_path, pack):
    lines = [json.dumps({"text": f"{n**9 % 7919} words {n**7 % 7907}"}) for n in range(20_000)]
    suffix = {b"\x1f": ".gz", b"\x28": ".zst", b"\xfd": ".xz"}[pack(b"")[:1]]
    packed = pack("\n".join(lines).encode())
    (tmp_path / f"a.jsonl{suffix}").write_bytes(packed)
    assert len(read(tmp_path, path="*")[0]) == 20_000
    (tmp_path / f"a.jsonl{suffix}").write_bytes(packed[: len(packed) // 2])
    rows, skipped = read(tmp_path, path="*", on_error="skip")
    assert len(rows) > 4000
    assert [row["text"] for row in rows] == [json.loads(line)["text"] for line in lines[: len(rows)]]
    assert [(skip.id, skip.reason) for skip in skipped] == [(f"a.jsonl{suffix}:{len(rows) + 1}", "truncated")]
    with pytest.raises(DataError, match=r"a.jsonl.*: truncated .*on_error: skip"):
        read(tmp_path, path="*")


def test_a_folder_of_the_right_name_is_counted_whatever_on_error_says(tmp_path):
    (tmp_path / "a.jsonl").mkdir()
    (tmp_path / "b.jsonl").write_text('{"text": "x"}')
    rows, skipped = read(tmp_path)
    assert ([row["text"] for row in rows], [(skip.id, skip.reason) for skip in skipped]) == (["x"], [("a.jsonl", "folder")])


JUNK = st.binary(max_size=80) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "id", "url"]) | st.text(max_size=3), inner)
    ),
).map(lambda value: json.dumps(value).encode())


@given(before=st.integers(0, 3), junk=st.lists(JUNK, max_size=6))
def test_whatever_lines_hold_every_one_is_a_document_or_a_skip(tmp_path_factory, before, junk):
    path = tmp_path_factory.mktemp("jsonl") / "a.jsonl"
    path.write_bytes(b'{"text": "sound", "id": 1}\n' * before + b"\n".join(junk))
    options = {"on_error": "skip", "columns": {"url": "url"}, "meta_fields": ["url"], "max_line": 60}
    source = Source.model_validate({"use": "jsonl", "path": "*", **options})
    harvests = list(source.read(Unit("a.jsonl", path, path.stat().st_size)))
    rows = [row for h in harvests for row in h.documents.to_pylist()]
    ids = {row["id"] for row in rows} | {skip.id for h in harvests for skip in h.skipped}
    lines = path.read_bytes().split(b"\n")
    expected = {f"a.jsonl:{number}" for number, line in enumerate(lines, start=1) if line.strip()}
    assert ids == (expected or {"a.jsonl"})
    assert [row["text"] for row in rows[:before]] == ["sound"] * before
