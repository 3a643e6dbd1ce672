"""A dataset in a folder, and the same one on a hub that is faked on loopback."""

import gzip
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import huggingface_hub.constants
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whorl.core.errors import ConfigError, DataError, ResourceError
from whorl.core.pool import ProcessPool
from whorl.corpus.sources import Source
from whorl.corpus.sources.hf_datasets import hub as hub_module

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CARD = "---\nlicense: cc-by-4.0\nlanguage: [en]\n---\n# A dataset\n"


class FakeHub(ThreadingHTTPServer):
    """Serves one repository `org/name` from a folder, and notes what it was asked."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.folder = folder
        self.commit = COMMIT
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.num_bytes = 0  # of files
        self.faults: Counter[str] = Counter()  # what goes wrong, how many times
        self.page = 2  # entries of a listing per answer

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def has_fault(self, kind: str) -> bool:
        self.faults[kind] -= 1
        return self.faults[kind] >= 0


class _Answers(BaseHTTPRequestHandler):
    server: FakeHub
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        hub = self.server
        hub.asked.append((self.path, dict(self.headers)))
        for status in (429, 500):
            if hub.has_fault(str(status)):
                return self.answer(status, b"{}")
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/api/datasets/org/name/revision/"):
            known = path.rpartition("/")[2] in ("main", "v1", hub.commit)
            return self.answer(200 if known else 404, json.dumps({"id": "org/name", "sha": hub.commit}).encode())
        if path == f"/api/datasets/org/name/tree/{hub.commit}":
            return self.listing()
        prefix = f"/datasets/org/name/resolve/{hub.commit}/"
        return self.file(hub.folder / path.removeprefix(prefix)) if path.startswith(prefix) else self.answer(404, b"{}")

    def listing(self):
        hub = self.server
        files = [path for path in sorted(hub.folder.rglob("*")) if path.is_file()]
        begin = int(urlsplit(self.path).query.rpartition("cursor=")[2] or 0) if "cursor" in self.path else 0
        entries = [
            {"type": "file", "path": path.relative_to(hub.folder).as_posix(), "size": path.stat().st_size, "oid": oid(path)}
            for path in files[begin : begin + hub.page]
        ]
        end = begin + hub.page
        more = f'<{hub.endpoint}{urlsplit(self.path).path}?recursive=true&cursor={end}>; rel="next"'
        self.answer(200, json.dumps([{"type": "directory", "path": "x", "oid": "0", "size": 0}, *entries]).encode(),
                    **({"Link": more} if end < len(files) else {}))  # fmt: skip

    def file(self, path):
        hub = self.server
        if not path.is_file():
            return self.answer(404, b"{}")
        data = path.read_bytes()
        begin, end = (int(n) for n in self.headers["range"].removeprefix("bytes=").split("-"))
        piece = data[begin : end + 1]
        if hub.has_fault("short"):
            piece = piece[:-1]
        total = len(data) + (7 if hub.has_fault("size") else 0)
        hub.num_bytes += len(piece)
        if hub.has_fault("no_ranges"):
            return self.answer(200, data)
        if hub.has_fault("break"):
            self.send_response(206)
            self.send_header("Content-Length", str(len(piece)))
            self.end_headers()
            self.wfile.write(piece[: len(piece) // 2])
            self.close_connection = True
            return None
        return self.answer(206, piece, **{"Content-Range": f"bytes {begin}-{begin + len(piece) - 1}/{total}"})

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def oid(path):
    return f"oid-{path.stat().st_size}-{hash(path.read_bytes()) & 0xFFFFFF:x}"


@pytest.fixture
def folder(tmp_path):
    """A dataset of two Parquet shards, one table, lines of JSON, an array, and lines of text."""
    place = tmp_path / "hub" / "name"
    (place / "data").mkdir(parents=True)
    (place / "README.md").write_text(CARD)
    rows = [{"text": f"row {i} of the first", "link": f"http://x/{i}", "blob": "z" * 50} for i in range(300)]
    pq.write_table(pa.Table.from_pylist(rows[:200]), place / "data" / "train-00000-of-00002.parquet", row_group_size=50)
    pq.write_table(pa.Table.from_pylist(rows[200:]), place / "data" / "train-00001-of-00002.parquet")
    pq.write_table(pa.table({"text": ["held"], "link": ["l"]}), place / "data" / "test-00000-of-00001.parquet")
    return place


@pytest.fixture
def hub(folder, monkeypatch):
    monkeypatch.setattr(hub_module, "_FIRST_WAIT_S", 0.01)
    server = FakeHub(folder)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def source(**options):
    return Source.model_validate({"use": "hf_datasets", **options})


def read(made, root):
    harvests = [harvest for unit in made.units(root) for harvest in made.read(unit)]
    return [row for h in harvests for row in h.documents.to_pylist()], [skip for h in harvests for skip in h.skipped]


def from_hub(hub, tmp_path, **options):
    return read(source(path="org/name", endpoint=hub.endpoint, **options), tmp_path / "project")


def from_folder(tmp_path, **options):
    return read(source(path="hub/name", name="org/name", **options), tmp_path)


FIELDS = {"columns": {"url": "link"}, "meta_fields": ["link"]}


def test_a_hub_and_a_folder_give_equal_documents(hub, tmp_path):
    here = from_folder(tmp_path, **FIELDS)
    assert from_hub(hub, tmp_path, **FIELDS) == here
    documents, skipped = here
    assert (len(documents), skipped) == (300, [])
    assert documents[0]["id"] == "org/name/data/train-00000-of-00002.parquet:0"
    assert documents[0]["url"] == "http://x/0"
    assert {row["licence"] for row in documents} == {"cc-by-4.0"}


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "tsv", "txt", "jsonl.gz"])
def test_every_format_gives_equal_documents_from_both(kind, folder, hub, tmp_path):
    for path in (folder / "data").iterdir():
        path.unlink()
    contents = {
        "jsonl": '{"text": "one"}\n{"text": "two"}\n{"other": 3}\n',
        "json": '\n[{"text": "one"}, {"text": "two"}, 3]',
        "csv": "text,n\none,1\ntwo,2\n",
        "tsv": "text\tn\none\t1\ntwo\t2\n",
        "txt": "one\ntwo\n\n",
    }
    content = contents[kind.partition(".")[0]].encode()
    (folder / f"a.{kind}").write_bytes(gzip.compress(content, mtime=0) if kind.endswith("gz") else content)
    here = from_folder(tmp_path, on_error="skip")
    assert from_hub(hub, tmp_path, on_error="skip") == here
    assert [row["text"] for row in here[0]] == ["one", "two"]
    reasons = {"jsonl": ["no_text"], "json": ["bad_json"], "txt": ["empty"]}.get(kind.partition(".")[0], [])
    assert [skip.reason for skip in here[1]] == reasons


def test_a_text_file_can_be_one_document(folder, tmp_path):
    (folder / "a.txt").write_text("one\ntwo\n")
    (folder / "README.md").write_text("---\nconfigs: [{config_name: default, data_files: a.txt}]\n---\n")
    documents, _ = from_folder(tmp_path, sample_by="document")
    assert [(row["id"], row["text"], row["licence"]) for row in documents] == [("org/name/a.txt", "one\ntwo\n", None)]


def test_only_the_fields_that_are_named_travel(folder, hub, tmp_path):
    rows = 4000
    columns = {"text": [f"row {i}" for i in range(rows)], "picture": [f"{i:09d}" * 1000 for i in range(rows)]}
    for path in (folder / "data").iterdir():
        path.unlink()
    pq.write_table(pa.table(columns), folder / "big.parquet", compression="none", use_dictionary=False)
    documents, _ = from_hub(hub, tmp_path, licence="mit")
    assert len(documents) == rows
    assert (folder / "big.parquet").stat().st_size > 36_000_000
    assert hub.num_bytes < 12_000_000


def test_worker_processes_read_a_hub_as_one_process_does(hub, workshop_at, tmp_path):
    found = []
    for name, pool in (("one", None), ("two", ProcessPool(2))):
        workshop = workshop_at(tmp_path / name, **({"pool": pool} if pool else {}))
        taken = {"use": "hf_datasets", "path": "org/name", "endpoint": hub.endpoint, "split": "all"}
        counts = workshop.run("pages", use="corpus.collect", sources=[taken], shard_size=2000)
        found.append((counts, workshop.files("pages")))
    assert found[0] == found[1]
    assert found[0][0]["documents"] == 301
    assert len([name for name in found[0][1] if name.startswith("documents")]) > 1


def test_splits_and_licences_can_be_chosen(hub, tmp_path):
    documents, _ = from_hub(hub, tmp_path, split="test", licence="mit")
    assert [(row["text"], row["licence"]) for row in documents] == [("held", "mit")]
    assert len(from_hub(hub, tmp_path, split="all")[0]) == 301
    with pytest.raises(DataError, match=r"no split 'tset'; did you mean 'test'\?"):
        from_hub(hub, tmp_path, split="tset")


@pytest.mark.parametrize("fault", ["429", "500", "break"])
def test_a_passing_fault_is_waited_out(fault, hub, tmp_path):
    made = source(path="org/name", endpoint=hub.endpoint)
    units = made.units(tmp_path)
    hub.faults[fault] = 2
    assert sum(len(harvest.documents) for unit in units for harvest in made.read(unit)) == 300
    assert hub.faults[fault] < 0


@pytest.mark.parametrize("fault", ["short", "size"])
def test_an_answer_of_the_wrong_size_is_an_error(fault, hub, tmp_path):
    made = source(path="org/name", endpoint=hub.endpoint, licence="mit")
    (unit, *_) = made.units(tmp_path)
    hub.faults[fault] = 1
    with pytest.raises(ResourceError, match=r"wanted bytes \d+ to \d+ of \d+, got"):
        list(made.read(unit))


def test_a_server_without_ranges_is_an_error_unless_all_was_wanted(hub):
    address = hub_module.Hub(hub.endpoint, "org/name").address("README.md", COMMIT)
    hub.faults["no_ranges"] = 2
    assert hub_module.ranged(address, 0, len(CARD), size_bytes=len(CARD)) == CARD.encode()
    with pytest.raises(ResourceError, match=r"wanted bytes 4 to 7 of \d+, got \d+ bytes said to be 0 to"):
        hub_module.ranged(address, 4, 8, size_bytes=len(CARD))


def test_a_hub_that_stays_broken_is_an_error(hub, tmp_path):
    hub.faults["500"] = 1000
    with pytest.raises(ResourceError, match="the hub says 500"):
        source(path="org/name", endpoint=hub.endpoint).units(tmp_path)


def test_a_branch_means_the_commit_it_meant_first(hub, tmp_path):
    made = source(path="org/name", endpoint=hub.endpoint, revision="v1")
    before = made.content(tmp_path)
    record = json.loads((tmp_path / ".whorl" / "datasets.json").read_text())
    assert record == {f"{hub.endpoint}/datasets/org/name@v1": COMMIT}
    hub.commit = COMMIT[::-1]
    hub.asked.clear()
    assert made.content(tmp_path) == before
    assert all(f"/resolve/{COMMIT}/" in unit.url for unit in made.units(tmp_path))
    assert hub.asked == []
    (tmp_path / ".whorl" / "datasets.json").unlink()
    assert made.content(tmp_path) != before


def test_an_unknown_revision_is_an_error(hub, tmp_path):
    with pytest.raises(DataError, match="the hub says 404"):
        source(path="org/name", endpoint=hub.endpoint, revision="v2").units(tmp_path)


def test_content_is_the_commit_and_the_hashes_of_its_files(hub, tmp_path):
    made = source(path="org/name", endpoint=hub.endpoint)
    before = made.content(tmp_path / "a")
    assert made.content(tmp_path / "b") == before
    (hub.folder / "data" / "train-00001-of-00002.parquet").write_bytes(b"other")
    assert made.content(tmp_path / "c") != before
    hub.commit = COMMIT[::-1]
    assert made.content(tmp_path / "d") != before
    assert made.model_copy(update={"revision": COMMIT}).content(tmp_path / "a") == before
    assert hub.num_bytes == 4 * len(CARD)  # nothing but the card was read, once per listing


def test_a_pinned_dataset_is_listed_once(hub, tmp_path):
    made = source(path="org/name", endpoint=hub.endpoint, revision=COMMIT)
    first = made.content(tmp_path)
    hub.asked.clear()
    assert made.content(tmp_path) == first
    assert hub.asked == []


def test_requests_say_nothing_of_the_machine_and_carry_no_token_to_a_mirror(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    from_hub(hub, tmp_path)
    headers = [{name.lower(): value for name, value in sent.items()} for _, sent in hub.asked]
    assert {sent["user-agent"].partition("/")[0] for sent in headers} == {"whorl"}
    assert not any("authorization" in sent for sent in headers)
    assert not any("torch" in str(sent) or "secret" in str(sent) for sent in headers)


def test_the_token_goes_to_the_users_own_hub(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr(huggingface_hub.constants, "HF_URL_HOSTS", frozenset({"127.0.0.1"}))
    from_hub(hub, tmp_path)
    assert {sent.get("authorization", sent.get("Authorization")) for _, sent in hub.asked} == {"Bearer hf_secret"}


def test_offline_is_refused_in_plain_words(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "is_offline_mode", lambda: True)
    with pytest.raises(ResourceError, match=r"--offline: org/name is on a hub; run without --offline, or name a folder"):
        source(path="org/name", endpoint=hub.endpoint).units(tmp_path)
    assert hub.asked == []


def test_a_closed_endpoint_is_an_error_that_names_it(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(hub_module, "_FIRST_WAIT_S", 0.01)
    with pytest.raises(ResourceError, match=r"org/name: 127.0.0.1:9 cannot be reached"):
        source(path="org/name", endpoint="http://127.0.0.1:9").units(tmp_path)


def test_an_endpoint_holds_no_password(tmp_path):
    with pytest.raises(ValueError, match="endpoint"):
        source(path="org/name", endpoint="https://user:secret@mirror.org")


def test_what_is_missing_is_an_error_that_says_what_there_is(folder, tmp_path):
    with pytest.raises(DataError, match="no file below"):
        source(path="./nothing").units(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.bin").write_bytes(b"x")
    with pytest.raises(DataError, match=r"no data file among 1; want names ending in \.parquet"):
        source(path="./empty").units(tmp_path)
    with pytest.raises(DataError, match=r"no config 'x'"):
        source(path="hub/name", config="x").units(tmp_path)
    with pytest.raises(DataError, match=r"no field body \(fields: text, link, blob\)"):
        read(source(path="hub/name", text_field="body"), tmp_path)


def test_unknown_document_columns_are_refused():
    with pytest.raises((ConfigError, ValueError), match="cannot fill part"):
        source(path="org/name", columns={"part": "x"})
