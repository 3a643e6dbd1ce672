import gzip
import os

import pytest

from whorl.core.canonical import plain
from whorl.core.errors import ConfigError, DataError
from whorl.corpus.sources import Source


def read(root, **options):
    source = Source.model_validate({"use": "text", "path": "**/*.txt", **options})
    harvests = [harvest for unit in source.units(root) for harvest in source.read(unit)]
    rows = [(row["id"], row["text"]) for h in harvests for row in h.documents.to_pylist()]
    return rows, [(skip.id, skip.reason) for h in harvests for skip in h.skipped]


def test_paragraphs_are_parted_by_blank_lines(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\nstill one\n\n \t\n\ntwo\r\n\r\nthree\n")
    rows, _ = read(tmp_path, split="paragraph")
    assert rows == [("a.txt#1", "one\nstill one"), ("a.txt#2", "two"), ("a.txt#3", "three\n")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"caf\xe9", "not_utf8"), (b"a\x00b", "has_nul"), (b"", "empty"), (b" \n\n", "empty"), (b"x" * 101, "too_large")],
)
@pytest.mark.parametrize("split", ["file", "paragraph"])
def test_a_bad_file_is_skipped_with_its_reason_and_the_others_are_read(tmp_path, content, reason, split):
    (tmp_path / "bad.txt").write_bytes(content)
    (tmp_path / "good.txt").write_text("fine")
    rows, skipped = read(tmp_path, max_file=100, split=split)
    assert [text for _, text in rows] == ["fine"]
    assert skipped == [("bad.txt", reason)]


def test_a_loop_of_links_ends_and_is_recorded(tmp_path):
    (tmp_path / "good.txt").write_text("fine")
    (tmp_path / "loop.txt").symlink_to(tmp_path / "loop.txt")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "dangling.txt").symlink_to(tmp_path / "absent")
    rows, skipped = read(tmp_path)
    assert rows == [("good.txt", "fine")]
    assert skipped == [("dangling.txt", "unreadable"), ("inner/up", "folder"), ("loop.txt", "unreadable")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_forbidden_file_is_recorded(tmp_path):
    (tmp_path / "secret.txt").write_text("x")
    (tmp_path / "secret.txt").chmod(0)
    assert read(tmp_path)[1] == [("secret.txt", "unreadable")]


def test_one_huge_line_is_one_document(tmp_path):
    (tmp_path / "long.txt").write_text("word " * 1_000_000)
    rows, skipped = read(tmp_path)
    assert len(rows[0][1]) == 5_000_000
    assert skipped == []


def test_compressed_text_is_unpacked_and_a_bomb_is_not(tmp_path):
    (tmp_path / "good.txt.gz").write_bytes(gzip.compress(b"fine", mtime=0))
    (tmp_path / "bomb.txt.gz").write_bytes(gzip.compress(bytes(30_000_000), mtime=0))
    assert read(tmp_path, path="*.gz") == ([("good.txt.gz", "fine")], [("bomb.txt.gz", "bomb")])


def test_a_byte_order_mark_is_not_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfhello")
    assert read(tmp_path)[0] == [("a.txt", "hello")]


def test_a_single_file_and_an_absolute_pattern_are_found(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.txt").write_text("one")
    assert read(tmp_path, path="deep/a.txt")[0] == [("a.txt", "one")]
    assert read(tmp_path / "elsewhere", path=f"{tmp_path}/deep/*.txt")[0] == [("a.txt", "one")]


@pytest.mark.parametrize("path", ["*.md", "absent.txt", "absent/*.txt"])
def test_a_pattern_that_matches_nothing_is_an_error_that_names_it(tmp_path, path):
    with pytest.raises(DataError, match=f"no file matches '{path}'".replace("*", r"\*")):
        read(tmp_path, path=path)


def test_the_path_is_not_part_of_the_identity():
    source = Source.model_validate({"use": "text", "path": "a/*.txt"})
    assert "path" not in plain(source, hashed_only=True)
    assert plain(source)["path"] == "a/*.txt"


def test_an_unknown_source_suggests_the_nearest():
    with pytest.raises((ConfigError, ValueError), match="did you mean 'jsonl'"):
        Source.model_validate({"use": "json", "path": "x"})
