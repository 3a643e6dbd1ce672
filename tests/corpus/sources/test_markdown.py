import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.corpus.files import Unit
from whorl.corpus.sources import Source


def read(root, text, **options):
    (root / "a.md").write_bytes(text if isinstance(text, bytes) else text.encode())
    source = Source.model_validate({"use": "markdown", "path": "*.md", **options})
    harvests = [harvest for unit in source.units(root) for harvest in source.read(unit)]
    rows = [row for h in harvests for row in h.documents.to_pylist()]
    for row in rows:
        row["meta"] = json.loads(row["meta"] or "{}")
    return rows, [(skip.id, skip.reason) for h in harvests for skip in h.skipped]


FRONT = """title: On whorls
date: 2020-05-17 10:30:00
license: CC-BY-4.0
lang: DE
url: https://example.org/whorls
tags: [wool, 7, {no: tag}]
draft: true
"""


def test_front_matter_becomes_columns_and_is_taken_off_the_text(tmp_path):
    rows, _ = read(tmp_path, f"---\n{FRONT}---\n\nText.\n", licence="other", language="en")
    row = rows[0]
    assert row["text"] == "\nText.\n"
    assert (row["date"], row["licence"], row["language"]) == ("2020-05-17T10:30:00", "CC-BY-4.0", "de")
    assert (row["url"], row["meta"]) == ("https://example.org/whorls", {"title": "On whorls", "tags": ["wool", "7"]})


def test_toml_between_pluses_is_front_matter_too(tmp_path):
    rows, _ = read(tmp_path, '+++\ntitle = "T"\ndate = 2020-05-17\ntags = "a, b"\n+++\nText.')
    assert (rows[0]["date"], rows[0]["meta"]) == ("2020-05-17", {"title": "T", "tags": ["a", "b"]})


@pytest.mark.parametrize(
    ("field", "column"),
    [("date: soon", "date"), ("date: [2020-05-17]", "date"), ("url: /whorls", "url"), ("lang: {a: b}", "language")],
)
def test_a_field_that_cannot_be_what_it_says_is_left_out(tmp_path, field, column):
    rows, _ = read(tmp_path, f"---\n{field}\n---\nText.")
    assert rows[0][column] is None


@pytest.mark.parametrize("front", ["a: b: c", "a: [", "a: &x 1\nb: *y", "{" * 5000, "? !!python/object:os.system x", "- \x01"])
def test_front_matter_that_cannot_be_read_stays_and_is_spoken_of(tmp_path, front):
    text = f"---\n{front}\n---\nText."
    rows, _ = read(tmp_path, text)
    assert rows[0]["text"] == text
    assert rows[0]["meta"]["front_matter"]


@pytest.mark.parametrize(
    "text", ["---\nwords\n---\nmore", "---\n- a\n---\n", "---\nnever closed", "text\n---\ntitle: x\n---\n"]
)
def test_rules_are_not_front_matter(tmp_path, text):
    rows, _ = read(tmp_path, text)
    assert (rows[0]["text"], rows[0]["meta"]) == (text, {})


def test_front_matter_alone_is_no_document(tmp_path):
    assert read(tmp_path, "---\ntitle: x\n---\n \n") == ([], [("a.md", "empty")])


SECTIONS = """Before.

# One

First.

## Deep #

```
# no heading
```

### Deeper

Two
===

Second.

    # code

- ---

Third
-----
"""


def test_sections_begin_at_headings_and_know_those_around_them(tmp_path):
    rows, _ = read(tmp_path, SECTIONS, split="heading")
    found = [(row["id"], row["text"].split("\n")[0], row["meta"].get("headings")) for row in rows]
    assert found == [
        ("a.md#1", "Before.", None),
        ("a.md#2", "# One", ["One"]),
        ("a.md#3", "## Deep #", ["One", "Deep"]),
        ("a.md#4", "Two", ["Two"]),
        ("a.md#5", "Third", ["Two", "Third"]),
    ]
    assert "".join(row["text"] for row in rows) == SECTIONS
    assert {row["meta"]["title"] for row in rows} == {"One"}


def test_only_headings_down_to_the_level_begin_a_section(tmp_path):
    text = "# A\na\n## B\nb\n### C\nc\n"
    assert [len(read(tmp_path, text, split="heading", max_level=level)[0]) for level in (1, 2, 3)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "headings"),
    [
        ("#no\n", 0),
        ("#\n\nx", 1),
        ("   ### x ###\n", 1),
        ("    # x\n", 0),
        ("####### x\n", 0),
        ("a\nb\n---\n", 0),  # a paragraph of two lines
        ("> a\n---\n", 0),
        ("~~~~\n# a\n~~~\n# b\n~~~~\n# c\n", 1),
        ("```a\n# b\n```c\n# d\n", 0),
        ("# a\r\nx\r\n# b\r\n", 2),
    ],
)
def test_what_is_a_heading_is_what_a_reader_sees_as_one(tmp_path, text, headings):
    rows, _ = read(tmp_path, text, split="heading", max_level=6)
    assert sum("headings" in row["meta"] or row["text"].startswith("#\n") for row in rows) == headings


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty"), (b"\xff", "not_utf8"), (b"a\0", "has_nul"), (b"x" * 200, "too_large")]
)
def test_a_bad_file_is_skipped_with_its_reason(tmp_path, content, reason):
    assert read(tmp_path, content, max_file=100) == ([], [("a.md", reason)])


@given(text=st.text(st.sampled_from("#-+=`~ \n\r\tab:[]"), max_size=80))
def test_splitting_loses_nothing_of_any_text(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("md") / "a.md"
    path.write_bytes(text.encode())
    source = Source.model_validate({"use": "markdown", "path": "*", "split": "heading", "max_level": 6})
    whole = source.model_copy(update={"split": "file"})
    pieces, one = (
        ["".join(h.documents["text"].to_pylist()) for h in each.read(Unit("a.md", path, len(text)))] for each in (source, whole)
    )
    assert "".join("".join(pieces).split()) == "".join("".join(one).split())
