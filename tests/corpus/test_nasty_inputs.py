"""What people's folders really hold: nothing crashes, everything is a document or a row of the ledger with its reason."""

import gzip
import json
import os
import random

import pyarrow as pa
import pytest

from whorl.core.pool import ProcessPool
from whorl.core.shards import iter_tables, shard_paths
from whorl.corpus.ledger import why

PEER = {"use": "resiliparse"}
PAGE = b"<html><body><article><p>" + b"A page with words enough to be one. " * 20 + b"</p></article></body></html>"


def record(number):
    body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + PAGE
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:x:{number}>\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body + b"\r\n\r\n"


def nasty_folder(root):
    """Every input that broke a corpus somewhere, small."""
    files = {
        "big.txt": b"word " * 40_000,  # larger than a shard
        "empty.txt": b"",
        "blank.txt": b" \n\t\n",
        "latin.txt": b"caf\xe9",
        "nul.txt": b"a\0b",
        "bomb.txt.gz": gzip.compress(bytes(30_000_000), mtime=0),
        "not_gzip.txt.gz": b"hello",
        "empty.jsonl": b"",
        "rows.jsonl": b'{"text": "1"}\n\n{"text": "2\xff"}\n{"text": "3\0"}\n{"no": 4}\n{"text": "\\ud800"}\n{"text": "6"}',
        "long.jsonl": b'{"text": "before"}\n{"text": "' + b"x" * 300_000 + b'"}\n{"text": "after"}\n',
        "clipped.jsonl.gz": gzip.compress(b'{"text": "whole"}\n' + os.urandom(1000).hex().encode(), mtime=0)[:-200],
        "bomb.jsonl.gz": gzip.compress(b'{"text": "first"}\n' + bytes(30_000_000), mtime=0),
        "rows.csv": b'text,n\none,1\ntwo\n"open,3\n',
        "clipped.warc.gz": b"".join(gzip.compress(record(n), mtime=0) for n in range(3))[:-100],
        "empty.warc.gz": gzip.compress(b"", mtime=0),
        "garbage.warc": b"no archive\n" + record("late"),
        "no.parquet": b"PAR1",
        "page.html": PAGE,
        "empty.html": b"<html></html>",
        "front.md": b"---\na: [\n---\ntext",
    }
    for name, data in files.items():
        (root / name).write_bytes(data)
    (root / "folder.jsonl").mkdir()
    (root / "folder.warc").mkdir()
    (root / "loop.txt").symlink_to(root / "loop.txt")
    (root / "dangling.jsonl").symlink_to(root / "absent")
    (root / "deep").mkdir()
    (root / "deep" / "up").symlink_to(root, target_is_directory=True)
    os.mkfifo(root / "pipe.txt")
    return [
        {"use": "text", "path": "in/**/*.txt*"},
        {"use": "jsonl", "path": "in/*.jsonl*", "on_error": "skip", "max_line": 100_000},
        {"use": "csv", "path": "in/*.csv", "on_error": "skip"},
        {"use": "warc", "path": "in/*.warc*", "extract": PEER},
        {"use": "parquet", "path": "in/*.parquet", "on_error": "skip"},
        {"use": "html", "path": "in/*.html", "extract": PEER},
        {"use": "markdown", "path": "in/*.md"},
    ]


EXPECTED = {
    ("blank.txt", "empty"),
    ("bomb.jsonl.gz:2", "bomb"),
    ("bomb.txt.gz", "bomb"),
    ("clipped.jsonl.gz:2", "truncated"),
    ("dangling.jsonl", "unreadable"),
    ("deep/up", "folder"),
    ("empty.html", "empty"),
    ("empty.jsonl", "empty"),
    ("empty.txt", "empty"),
    ("empty.warc.gz", "empty"),
    ("folder.jsonl", "folder"),
    ("folder.warc", "folder"),
    ("garbage.warc:0", "malformed"),
    ("latin.txt", "not_utf8"),
    ("long.jsonl:2", "too_large"),
    ("loop.txt", "unreadable"),
    ("no.parquet", "damaged"),
    ("not_gzip.txt.gz", "damaged"),
    ("nul.txt", "has_nul"),
    ("pipe.txt", "special"),
    ("rows.csv:3", "ragged"),
    ("rows.csv:4", "bad_csv"),
    ("rows.jsonl:3", "not_utf8"),
    ("rows.jsonl:4", "bad_json"),
    ("rows.jsonl:5", "no_text"),
    ("rows.jsonl:6", "not_unicode"),
    ("urn:x:2", "truncated"),
}
KEPT = {
    "big.txt",
    "bomb.jsonl.gz:1",
    "clipped.jsonl.gz:1",
    "front.md",
    "long.jsonl:1",
    "long.jsonl:3",
    "page.html",
    "rows.csv:2",
    "rows.jsonl:1",
    "rows.jsonl:7",
    "urn:x:0",
    "urn:x:1",
    "urn:x:late",
}


def rows_of(folder, name, columns):
    return [tuple(row.values()) for row in pa.concat_tables(iter_tables(folder, name, columns)).to_pylist()]


def test_everything_in_a_nasty_folder_is_a_document_or_a_row_with_its_reason(workshop):
    (workshop.root / "in").mkdir()
    counts = workshop.run("pages", use="corpus.collect", sources=nasty_folder(workshop.root / "in"), shard_size=20_000)
    skipped = rows_of(workshop.folder("pages"), "ledger", ["id", "reason"])
    assert set(skipped) == EXPECTED
    assert len(skipped) == len(EXPECTED)
    assert {doc_id for (doc_id,) in rows_of(workshop.folder("pages"), "documents", ["id"])} == KEPT
    assert counts["documents_in"] == len(KEPT) + len(EXPECTED)
    assert len(shard_paths(workshop.folder("pages"))) > 2
    assert why(workshop.folder("pages"), "urn:x:2")[0]["detail"].startswith("ends inside a compressed member")


def test_four_workers_make_of_a_nasty_folder_what_one_makes(workshop_at, tmp_path):
    made = {}
    (tmp_path / "w" / "in").mkdir(parents=True)
    sources = nasty_folder(tmp_path / "w" / "in")
    for name, options in (("one", {}), ("four", {"pool": ProcessPool(4)})):
        workshop = workshop_at(tmp_path / "w", **options)
        workshop.run(name, use="corpus.collect", sources=sources, shard_size=20_000)
        made[name] = workshop.files(name)
        for folder in (tmp_path / "w" / ".whorl" / "cache" / "shards").iterdir():  # so that the next run reads for itself
            folder.rename(tmp_path / f"{name}-{folder.name}")
    assert len(made["one"]) > 8
    assert made["four"] == made["one"]


def test_a_line_of_100_mb_is_passed_over_in_little_memory_or_read_when_asked_for(workshop):
    path = workshop.root / "a.jsonl"
    with path.open("wb") as handle:
        handle.write(b'{"text": "before"}\n{"text": "')
        for _ in range(100):
            handle.write(b"x" * 1_000_000)
        handle.write(b'"}\n{"text": "after"}\n')
    source = {"use": "jsonl", "path": "a.jsonl", "on_error": "skip"}
    counts = workshop.run("pages", use="corpus.collect", sources=[source])
    assert (counts["documents"], counts["skipped.too_large"]) == (2, 1)
    counts = workshop.run("all", use="corpus.collect", sources=[{**source, "max_line": "200MB"}])
    assert (counts["documents"], counts["bytes"]) == (3, 100_000_011)


@pytest.mark.parametrize("use", ["text", "jsonl", "csv", "parquet", "html", "markdown", "warc"])
def test_random_bytes_are_never_a_crash(workshop, use):
    chance = random.Random(7)
    for number in range(20):
        for suffix in ("", ".gz", ".zst", ".bz2", ".xz"):
            workshop.write(f"in/{number}{suffix}", chance.randbytes(chance.randrange(300)))
    workshop.write("sound.txt", "words")
    options = (
        {"on_error": "skip"} if use in ("jsonl", "csv", "parquet") else {"extract": PEER} if use in ("html", "warc") else {}
    )
    if use == "csv":
        options["header"] = ["text"]
    sources = [{"use": use, "path": "in/*", **options}, {"use": "text", "path": "sound.txt"}]
    counts = workshop.run("pages", use="corpus.collect", sources=sources)
    assert counts["files"] == 101
    named = {source for (source,) in rows_of(workshop.folder("pages"), "ledger", ["source"])}
    kept = {source for (source,) in rows_of(workshop.folder("pages"), "documents", ["source"])}
    assert len(named | kept) == 101


def test_meta_of_any_kind_is_json(workshop):
    workshop.write("a.jsonl", json.dumps({"text": "x", "n": float("nan"), "deep": [[[{}]]], "odd": "\ud800"}))
    workshop.run(
        "pages", use="corpus.collect", sources=[{"use": "jsonl", "path": "a.jsonl", "meta_fields": ["n", "deep", "odd"]}]
    )
    ((meta,),) = rows_of(workshop.folder("pages"), "documents", ["meta"])
    assert json.loads(meta)["deep"] == [[[{}]]]
