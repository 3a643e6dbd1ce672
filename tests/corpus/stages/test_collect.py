import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whorl.core.errors import DataError
from whorl.core.pool import ProcessPool
from whorl.core.shards import iter_tables, shard_paths
from whorl.core.stage import Stage
from whorl.corpus.ledger import why

TEXT = {"use": "text", "path": "notes/*.txt"}
PEER = {"use": "resiliparse"}


def notes(workshop, count=40, size=100):
    for i in range(count):
        workshop.write(f"notes/{i:03d}.txt", f"note {i} " + "x" * size)


def documents(workshop, name):
    return pa.concat_tables(iter_tables(workshop.folder(name)))


def test_what_came_in_is_documents_and_skips(workshop):
    workshop.write("notes/a.txt", "fine")
    workshop.write("notes/b.txt", b"\xff\xfe")
    workshop.write("notes/c.txt", "")
    counts = workshop.run("pages", use="corpus.collect", sources=[TEXT])
    assert counts == {"files": 3, "documents_in": 3, "documents": 1, "bytes": 4, "skipped.empty": 1, "skipped.not_utf8": 1}
    row = why(workshop.folder("pages"), "b.txt")[0]
    assert (row["kept"], row["step"], row["reason"]) == (False, "collect", "not_utf8")
    assert why(workshop.folder("pages"), "a.txt") == [{"id": "a.txt", "source": "a.txt", "kept": True}]


def test_every_document_is_in_one_of_several_shards(workshop):
    notes(workshop)
    workshop.run("pages", use="corpus.collect", sources=[TEXT], shard_size=1000)
    assert len(shard_paths(workshop.folder("pages"))) > 2
    assert sorted(documents(workshop, "pages")["id"].to_pylist()) == [f"{i:03d}.txt" for i in range(40)]


def test_one_changed_file_reads_one_shard_again(workshop):
    notes(workshop)
    workshop.run("pages", use="corpus.collect", sources=[TEXT], shard_size=1000)
    before = workshop.cached_shards()
    workshop.write("notes/007.txt", "changed")
    workshop.run("changed", use="corpus.collect", sources=[TEXT], shard_size=1000)
    assert len(before) > 2
    assert len(workshop.cached_shards() - before) == 1
    old, new = workshop.files("pages"), workshop.files("changed")
    assert sum(old[name] != new[name] for name in old if name.startswith("documents")) == 1


def test_one_added_file_reads_one_shard_again(workshop):
    notes(workshop)
    workshop.run("pages", use="corpus.collect", sources=[TEXT], shard_size=1000)
    before = workshop.cached_shards()
    workshop.write("notes/new.txt", "added")
    workshop.run("changed", use="corpus.collect", sources=[TEXT], shard_size=1000)
    assert len(workshop.cached_shards() - before) == 1


def test_two_workers_write_what_one_writes(workshop_at, tmp_path):
    for name, pool in (("one", None), ("two", ProcessPool(2))):
        workshop = workshop_at(tmp_path / name, **({"pool": pool} if pool else {}))
        notes(workshop)
        workshop.write("notes/bad.txt", b"\xff")
        workshop.run("pages", use="corpus.collect", sources=[TEXT], shard_size=1000)
        if name == "one":
            expected = workshop.files("pages")
    assert len(expected) > 4
    assert workshop.files("pages") == expected


def test_a_document_larger_than_a_shard_ends(workshop):
    workshop.write("notes/long.txt", "x" * 50_000)
    workshop.write("notes/short.txt", "y")
    counts = workshop.run("pages", use="corpus.collect", sources=[TEXT], shard_size=100)
    assert counts["documents"] == 2


def test_text_that_outgrows_its_files_is_split_over_tables(workshop):
    (workshop.root / "dump").mkdir()
    pq.write_table(
        pa.table({"text": ["x" * 1000] * 20_000}), workshop.root / "dump" / "a.parquet"
    )  # compresses to almost nothing
    counts = workshop.run("pages", use="corpus.collect", sources=[{"use": "parquet", "path": "dump/*"}], shard_size="500KB")
    assert counts["documents"] == 20_000
    assert len(shard_paths(workshop.folder("pages"))) == 3


def test_the_same_id_twice_is_an_error_and_a_name_mends_it(workshop):
    workshop.write("a/x.txt", "one")
    workshop.write("b/x.txt", "two")
    sources = [{"use": "text", "path": "a/*.txt"}, {"use": "text", "path": "b/*.txt"}]
    with pytest.raises(DataError, match=r"more than once: x.txt; set name"):
        workshop.run("pages", use="corpus.collect", sources=sources)
    sources[1]["name"] = "b"
    assert workshop.run("again", use="corpus.collect", sources=sources)["documents"] == 2


def test_a_corpus_without_a_single_document_is_an_error_with_reasons(workshop):
    workshop.write("notes/a.txt", "")
    workshop.write("notes/b.txt", b"\xff")
    with pytest.raises(DataError, match=r"no document in 2 files \(1 empty, 1 not_utf8\)"):
        workshop.run("pages", use="corpus.collect", sources=[TEXT])


def test_identity_follows_content_not_place(workshop_at, tmp_path):
    stage = Stage.model_validate({"use": "corpus.collect", "sources": [TEXT]})
    moved = Stage.model_validate({"use": "corpus.collect", "sources": [{"use": "text", "path": "moved/*.txt"}]})
    workshop = workshop_at(tmp_path / "w")
    workshop.write("notes/a.txt", "one")
    workshop.write("moved/a.txt", "one")
    before = stage.raw_inputs(workshop.root)
    assert list(before) == ["sources.0", "sources.0.code"]
    assert before["sources.0.code"] == "text 1"
    assert moved.raw_inputs(workshop.root) == before
    workshop.write("notes/a.txt", "two")
    assert stage.raw_inputs(workshop.root) != before


def test_progress_is_reported_in_bytes(workshop):
    notes(workshop, count=3)
    workshop.run("pages", use="corpus.collect", sources=[TEXT])
    (event,) = [event for event in workshop.events if event["kind"] == "progress"]
    assert (event["step"], event["total"], event["unit"]) == (321, 321, "bytes")


def remade(workshop, name, **source):
    """How many shards a run had to make."""
    before = workshop.cached_shards() if workshop.made else set()
    workshop.run(name, use="corpus.collect", sources=[source])
    return len(workshop.cached_shards() - before)


def test_other_code_of_a_source_or_of_what_is_inside_it_reads_again(workshop, monkeypatch):
    workshop.write("site/a.html", "<p>words</p>")
    site = {"use": "html", "path": "site/*", "extract": PEER}
    source = Stage.model_validate({"use": "corpus.collect", "sources": [site]}).sources[0]
    assert source.code() == "html 1, resiliparse 1"
    assert [remade(workshop, name, **site) for name in ("first", "again")] == [1, 0]
    for changed in (type(source), type(source.extract)):
        monkeypatch.setattr(changed, "code_version", 99, raising=False)
        assert remade(workshop, f"with {changed.__name__}", **site) == 1
    assert source.code() == "html 99, resiliparse 99"


def test_other_options_of_what_is_inside_a_source_read_again(workshop):
    workshop.write("site/a.html", "<p>words</p>")
    made = [
        remade(workshop, f"{comments}", use="html", path="site/*", extract={**PEER, "comments": comments})
        for comments in (True, False)
    ]
    assert made == [1, 1]


def test_what_lies_beside_a_file_is_part_of_its_shard(workshop):
    body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>some words</p>"
    workshop.write("crawl/a.warc", b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    crawl = {"use": "warc", "path": "crawl/*", "robots": "robots/*", "extract": PEER}
    made = []
    for number in (1, 1, 2):
        workshop.write("robots/r.warc", f"robots {number}")
        made.append(remade(workshop, f"run {len(made)}", **crawl))
    assert made == [1, 0, 1]


def test_ids_whose_hashes_meet_are_compared(workshop, monkeypatch):
    notes(workshop, count=5)
    monkeypatch.setattr("whorl.corpus.stages.collect.text_keys", lambda ids: np.zeros(len(ids), np.uint64))
    assert workshop.run("pages", use="corpus.collect", sources=[TEXT])["documents"] == 5


def test_counts_are_those_of_the_documents(workshop):
    notes(workshop, count=30)
    workshop.write("notes/bad.txt", b"\xff")
    counts = workshop.run("pages", use="corpus.collect", sources=[TEXT], shard_size=1000)
    texts = documents(workshop, "pages")["text"].to_pylist()
    assert (counts["documents"], counts["bytes"]) == (30, sum(map(len, texts)))
    assert (counts["files"], counts["documents_in"], counts["skipped.not_utf8"]) == (31, 31, 1)
