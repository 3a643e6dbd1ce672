import gzip

import fsspec
import pytest

from whorl.core.errors import DataError, ResourceError
from whorl.corpus.files import content_hash, find_units, read_text
from whorl.corpus.remote import find_remote, open_remote, remote_hash
from whorl.corpus.sources import Source


@pytest.fixture
def store(request):
    """A folder in memory, as an address."""
    system = fsspec.filesystem("memory")
    place = f"/{abs(hash(request.node.name))}"
    yield lambda name, data: system.pipe(f"{place}/{name}", data), f"memory:/{place}"
    system.rm(place, recursive=True)


def test_files_at_an_address_are_read_like_files(store, tmp_path):
    put, address = store
    put("in/a.txt", b"one")
    put("in/deep/b.txt.gz", gzip.compress(b"two", mtime=0))
    put("in/deep/c.bin", b"no")
    found = find_units(tmp_path, f"{address}/in/**/*.txt*", "mine")
    assert [(unit.name, unit.size_bytes) for unit in found] == [("mine/a.txt", 3), ("mine/deep/b.txt.gz", 23)]
    assert [read_text(unit, 100) for unit in found] == ["one", "two"]
    assert [unit.name for unit in find_units(tmp_path, f"{address}/in/a.txt")] == ["a.txt"]
    assert find_units(tmp_path, f"{address}/in/absent.txt") == []


def test_every_source_of_files_reads_addresses(store, tmp_path):
    put, address = store
    put("a.jsonl", b'{"text": "hello"}\n')
    put("a.csv", b"text\nhello\n")
    for use in ("jsonl", "csv", "text"):
        source = Source.model_validate({"use": use, "path": f"{address}/a.{'jsonl' if use == 'text' else use}"})
        (unit,) = source.units(tmp_path)
        assert sum(len(harvest.documents) for harvest in source.read(unit)) == 1


def test_a_parquet_file_at_an_address_is_read(store, tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    put, address = store
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": ["one", "two"]}), sink)
    put("a.parquet", sink.getvalue().to_pybytes())
    source = Source.model_validate({"use": "parquet", "path": f"{address}/*.parquet"})
    texts = [text for harvest in source.read(source.units(tmp_path)[0]) for text in harvest.documents["text"].to_pylist()]
    assert texts == ["one", "two"]


def test_content_without_a_validator_counts_by_its_bytes(store, tmp_path):
    put, address = store
    put("a.txt", b"one")
    before = content_hash(find_units(tmp_path, f"{address}/*.txt"))
    put("a.txt", b"one")
    assert content_hash(find_units(tmp_path, f"{address}/*.txt")) == before
    put("a.txt", b"two")
    assert content_hash(find_units(tmp_path, f"{address}/*.txt")) != before


def test_a_strong_validator_spares_the_reading(store, monkeypatch):
    put, address = store
    put("a.txt", b"one")
    system = fsspec.filesystem("memory")
    info = system.info
    for said, expected in ({"ETag": '"abc"'}, 'ETag: "abc"'), ({"ETag": 'W/"abc"', "md5Hash": "xyz"}, "md5Hash: xyz"):
        monkeypatch.setattr(type(system), "info", lambda self, path, said=said, **_: {**info(path), **said})
        assert remote_hash(f"{address}/a.txt") == expected


def test_a_file_the_network_loses_is_an_error_not_a_gap(store, monkeypatch):
    put, address = store
    put("a.txt", b"one")
    handle = open_remote(f"{address}/a.txt")
    monkeypatch.setattr(handle.raw._inner, "read", _fails)
    with pytest.raises(ResourceError, match=r"a.txt: broke off \(gone\); try again"):
        handle.read()
    with pytest.raises(ResourceError, match="cannot be opened"):
        open_remote(f"{address}/absent.txt")
    with pytest.raises(ResourceError, match="cannot be asked for"):
        remote_hash(f"{address}/absent.txt")
    monkeypatch.setattr(fsspec.filesystem("memory"), "glob", _fails, raising=False)
    with pytest.raises(ResourceError, match="cannot be listed"):
        find_remote(f"{address}/*.txt")


def _fails(*args, **kwargs):
    raise OSError(5, "gone")


def test_an_address_nobody_can_read_says_what_is_wanted():
    with pytest.raises(DataError, match=r"nonsense://x: .*want a local path or an address fsspec knows"):
        find_remote("nonsense://x")
    with pytest.raises(DataError, match="an address inside another"):
        find_remote("simplecache::memory://x")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(fsspec.core, "url_to_fs", _lacks)
    with pytest.raises(ResourceError, match=r"s3://bucket/x: Install s3fs to access S3; install that package"):
        find_remote("s3://bucket/x")


def _lacks(url):
    raise ImportError("Install s3fs to access S3")


def test_errors_show_neither_password_nor_query():
    with pytest.raises(DataError) as caught:
        find_remote("nonsense://user:secret@host/x?signature=secret")
    assert str(caught.value).startswith("nonsense://host/x: ")
    assert "secret" not in str(caught.value)


class _Web:
    """A web server as fsspec shows one."""

    def info(self, url):
        return {"name": url, "size": None, "type": "file", "ETag": '"v1"'}

    def glob(self, url, detail):
        return {url.replace("*", name): self.info(url.replace("*", name)) for name in ("a", "b")}

    def unstrip_protocol(self, url):
        return url


def test_a_web_address_is_named_without_its_query(monkeypatch):
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda url: (_Web(), url))
    (one,) = find_remote("https://host/data/x.jsonl.gz?signature=secret")
    assert (one.name, one.url, one.size_bytes) == ("x.jsonl.gz", "https://host/data/x.jsonl.gz?signature=secret", 0)
    assert [found.name for found in find_remote("https://host/data/*.gz")] == ["a.gz", "b.gz"]
    assert [found.name for found in find_remote("https://host/")] == ["index"]
    assert remote_hash("https://host/x") == 'ETag: "v1"'
