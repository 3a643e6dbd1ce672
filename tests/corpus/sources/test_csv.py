import csv
import gzip
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.core.errors import DataError
from whorl.corpus.files import Unit
from whorl.corpus.sources import Source


def read(root, **options):
    source = Source.model_validate({"use": "csv", "path": "*.csv*", **options})
    harvests = [harvest for unit in source.units(root) for harvest in source.read(unit)]
    return [row for h in harvests for row in h.documents.to_pylist()], [s for h in harvests for s in h.skipped]


def test_fields_become_columns_and_meta(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfkey,body,link,score\r\n7,hello,http://x,0.5\r\n")
    rows, skipped = read(tmp_path, text_field="body", id_field="key", columns={"url": "link"}, meta_fields=["score"])
    assert [(row["id"], row["text"], row["url"], row["source"]) for row in rows] == [("7", "hello", "http://x", "a.csv")]
    assert json.loads(rows[0]["meta"]) == {"score": "0.5"}
    assert skipped == []


def test_quoted_fields_hold_commas_quotes_and_line_ends(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'n,text\n1,"one, ""two""\r\nand three"\n\n2,four')
    rows, skipped = read(tmp_path)
    assert [(row["id"], row["text"]) for row in rows] == [("a.csv:2", 'one, "two"\r\nand three'), ("a.csv:5", "four")]
    assert skipped == []


def test_the_dialect_is_what_the_recipe_says(tmp_path):
    (tmp_path / "a.csv").write_text("1\t'one\ttwo'\n")
    rows, _ = read(tmp_path, delimiter="\t", quote="'", header=["n", "text"])
    assert [row["text"] for row in rows] == ["one\ttwo"]


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        (b"1,a,b", "ragged", "3 fields, the header has 2"),
        (b"1", "ragged", "1 fields, the header has 2"),
        (b"1,caf\xe9", "not_utf8", "at byte 5 of line 3: invalid continuation byte"),
        (b"1,a\x00b", "has_nul", "in line 3"),
        (b'1,"a"b', "bad_csv", "lines 3 to 3: ',' expected after '\"'"),
        (b"1,a\rb", "bad_csv", "lines 3 to 3: new-line character seen in unquoted field"),
        (b"1," + b"x" * 5000, "too_large", "lines 3 to 3 are more than 1000 bytes"),
    ],
)
def test_a_bad_row_stops_the_run_or_is_counted_with_its_reason(tmp_path, line, reason, detail):
    (tmp_path / "a.csv").write_bytes(b"n,text\n0,first\n" + line + b"\n2,last\n")
    with pytest.raises(DataError, match=rf"a.csv:3: {reason}.*on_error: skip"):
        read(tmp_path, max_row=1000)
    rows, skipped = read(tmp_path, max_row=1000, on_error="skip")
    assert [row["text"] for row in rows] == ["first", "last"]
    assert [(skip.id, skip.reason) for skip in skipped] == [("a.csv:3", reason)]
    assert skipped[0].detail.startswith(detail)


def test_an_open_quote_costs_no_more_than_a_row_may_hold(tmp_path):
    (tmp_path / "a.csv").write_text('n,text\n0,first\n1,"open\n' + "2,inside\n" * 200 + "3,last\n")
    rows, skipped = read(tmp_path, max_row=1000, on_error="skip")
    assert [(skip.id, skip.reason) for skip in skipped] == [("a.csv:3", "too_large")]
    assert "lines 3 to 114 are more than 1000 bytes: an open quote" in skipped[0].detail
    assert [row["text"] for row in rows] == ["first", *["inside"] * 89, "last"]


def test_an_open_quote_at_the_end_is_counted(tmp_path):
    (tmp_path / "a.csv").write_text('n,text\n0,first\n1,"open\n2,x\n')
    rows, skipped = read(tmp_path, on_error="skip")
    assert [row["text"] for row in rows] == ["first"]
    assert [(skip.id, skip.reason, skip.detail) for skip in skipped] == [
        ("a.csv:3", "bad_csv", "lines 3 to 4: unexpected end of data")
    ]


@pytest.mark.parametrize("header", ["n,content", "text;n", "text,text"])
def test_a_header_without_the_field_is_an_error_that_lists_what_there_is(tmp_path, header):
    (tmp_path / "a.csv").write_text(f"{header}\n1,x\n")
    with pytest.raises(
        DataError, match=r"a.csv: (no field text|two fields named text) \(fields: .*\); set text_field, delimiter"
    ):
        read(tmp_path, on_error="skip")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"n,text\n"])
def test_a_file_without_rows_is_counted(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    rows, skipped = read(tmp_path)
    assert (rows, [(skip.id, skip.reason) for skip in skipped]) == ([], [("a.csv", "empty")])


def test_a_clipped_file_is_kept_up_to_its_last_whole_row(tmp_path):
    lines = "".join(f"{n},{n**9 % 7919} {n**7 % 7907}\n" for n in range(20_000))
    packed = gzip.compress(f"n,text\n{lines}".encode(), mtime=0)
    (tmp_path / "a.csv.gz").write_bytes(packed[: len(packed) // 2])
    rows, skipped = read(tmp_path, on_error="skip")
    assert 5000 < len(rows) < 15_000
    assert [(skip.id, skip.reason) for skip in skipped] == [(f"a.csv.gz:{len(rows) + 2}", "truncated")]


def test_a_field_may_be_longer_than_the_standard_librarys_limit(tmp_path):
    (tmp_path / "a.csv").write_text("text\n" + "x" * 500_000)
    assert len(read(tmp_path)[0][0]["text"]) == 500_000


def test_large_files_are_handed_over_in_batches(tmp_path):
    (tmp_path / "a.csv").write_text("text\n" + ("x" * 1_000_000 + "\n") * 20)
    source = Source.model_validate({"use": "csv", "path": "*.csv"})
    assert [len(harvest.documents) for harvest in source.read(source.units(tmp_path)[0])] == [8, 8, 4]


@given(
    rows=st.lists(
        st.tuples(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9), st.integers())
    )
)
def test_what_the_standard_library_writes_is_read_back(tmp_path_factory, rows):
    sink = io.StringIO(newline="")
    csv.writer(sink).writerows([("text", "n"), *rows])
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(sink.getvalue().encode())
    source = Source.model_validate({"use": "csv", "path": "*"})
    harvests = list(source.read(Unit("a.csv", path, 0)))
    texts = [text for h in harvests for text in h.documents["text"].to_pylist()]
    assert texts == [text for text, _ in rows if text.strip()]
    empty = [skip for h in harvests for skip in h.skipped]
    assert len(empty) == (len(rows) - len(texts) or (not rows))


@given(data=st.binary(max_size=200))
def test_any_bytes_are_rows_and_skips(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(b"n,text\n1,first\n" + data)
    source = Source.model_validate({"use": "csv", "path": "*", "on_error": "skip", "max_row": 100})
    texts = [text for h in source.read(Unit("a.csv", path, 0)) for text in h.documents["text"].to_pylist()]
    assert texts[:1] == ["first"] or data[:1] not in (b"\n", b"")
