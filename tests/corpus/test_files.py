import gzip
import os
import random

import pytest

from whorl.corpus.files import Unit, Unreadable, content_hash, find_units, open_decoded, open_raw, read_bytes, read_text


def unit_of(path):
    return Unit(path.name, path, path.stat().st_size)


def reason(act, *args, **kwargs):
    with pytest.raises(Unreadable) as caught:
        act(*args, **kwargs)
    return caught.value.reason


def test_names_begin_where_the_pattern_gets_magic(tmp_path):
    for name in ("a/b/one.txt", "a/c/two.txt"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("x")
    assert [unit.name for unit in find_units(tmp_path, "a/*/*.txt")] == ["b/one.txt", "c/two.txt"]
    assert [unit.name for unit in find_units(tmp_path, "a/b/one.txt", "mine")] == ["mine/one.txt"]
    assert [unit.name for unit in find_units(tmp_path / "elsewhere", f"file://{tmp_path}/a/b/*")] == ["one.txt"]


def test_a_folder_is_found_only_where_the_pattern_names_its_suffix(tmp_path):
    (tmp_path / "plain").mkdir()
    (tmp_path / "x.jsonl").mkdir()
    (tmp_path / "y.jsonl").write_text("{}")
    assert [unit.name for unit in find_units(tmp_path, "*")] == ["y.jsonl"]
    found = find_units(tmp_path, "*.jsonl")
    assert [(unit.name, unit.size_bytes) for unit in found] == [("x.jsonl", 0), ("y.jsonl", 2)]
    assert reason(open_raw, found[0]) == "folder"


def test_links_to_folders_are_found_below_stars_and_not_followed(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "a.txt").write_text("x")
    (tmp_path / "in" / "deep" / "loop").symlink_to(tmp_path / "in", target_is_directory=True)
    found = find_units(tmp_path, "in/**/*.txt")
    assert [unit.name for unit in found] == ["deep/a.txt", "deep/loop"]
    with pytest.raises(Unreadable, match="a link to a folder is not followed"):
        open_raw(found[1])
    assert [unit.name for unit in find_units(tmp_path, "in/*/*.txt")] == ["deep/a.txt"]


def test_links_above_the_stars_are_followed(tmp_path):
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "real" / "deep" / "a.txt").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    assert [unit.name for unit in find_units(tmp_path, "link/**/*.txt")] == ["deep/a.txt"]
    assert [unit.name for unit in find_units(tmp_path, "l*/**/*.txt")] == ["link/deep/a.txt"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root lists everything")
def test_a_folder_that_may_not_be_listed_is_found(tmp_path):
    (tmp_path / "shut").mkdir(mode=0)
    try:
        assert [unit.name for unit in find_units(tmp_path, "**/*.txt")] == ["shut"]
    finally:
        (tmp_path / "shut").chmod(0o755)


def test_a_name_that_is_not_utf8_is_written_with_escapes(tmp_path):
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    except OSError:
        pytest.skip("this file system wants names in UTF-8")
    found = find_units(tmp_path, "*.txt")
    assert [unit.name for unit in found] == ["caf\\xe9.txt"]
    assert read_text(found[0], 10) == "x"


def test_a_pipe_is_neither_opened_nor_hashed(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    found = find_units(tmp_path, "*.txt")
    assert reason(open_raw, found[0]) == "special"
    assert content_hash(found) != content_hash([])


def test_the_content_hash_follows_names_contents_and_what_lies_beside(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").write_text("x")
    a, b = unit_of(tmp_path / "a"), unit_of(tmp_path / "b")
    hashes = {content_hash(units) for units in ([a], [b], [a, b], [a._replace(beside=(b,))], [a._replace(beside=(a,))])}
    assert len(hashes) == 5
    before = content_hash([a._replace(beside=(b,))])
    (tmp_path / "b").write_text("y")
    assert content_hash([a._replace(beside=(b,))]) != before


def test_what_lies_beside_many_units_is_read_once(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").write_text("y")
    units = [unit_of(tmp_path / "a")._replace(beside=(unit_of(tmp_path / "b"),))]
    known = {}
    first = content_hash(units, known)
    (tmp_path / "b").unlink()
    assert content_hash(units, known) == first
    assert list(known) == [str(tmp_path / "b")]


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        (b"", "a.txt", "empty"),
        (b" \n", "a.txt", "empty"),
        (b"x" * 11, "a.txt", "too_large"),
        (gzip.compress(b"x" * 11, mtime=0), "a.txt.gz", "too_large"),
        (gzip.compress(random.Random(0).randbytes(3_000_000), mtime=0), "a.txt.gz", "too_large"),
        (gzip.compress(b"", mtime=0), "a.txt.gz", "empty"),
        (gzip.compress(b"x" * 9, mtime=0)[:-3], "a.txt.gz", "truncated"),
    ],
)
def test_a_file_read_whole_has_a_limit_and_a_reason(tmp_path, data, name, expected):
    (tmp_path / name).write_bytes(data)
    assert reason(read_bytes, unit_of(tmp_path / name), 10) == expected


def test_compressed_text_is_text(tmp_path):
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress("\ufeffna\u00efve".encode(), mtime=0))
    assert read_text(unit_of(tmp_path / "a.txt.gz"), 100) == "na\u00efve"
    with open_decoded(unit_of(tmp_path / "a.txt.gz"), max_bytes=100, max_ratio=10) as stream:
        assert stream.readline() == "\ufeffna\u00efve".encode()
