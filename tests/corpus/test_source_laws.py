"""What every source promises, whichever it is. A new source adds its little world here."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whorl.core.records import DOCUMENTS
from whorl.corpus.sources import Source


def _text(root):
    (root / "a.txt").write_text("one\n\ntwo\n")
    (root / "b.txt").write_text("three")
    return {"path": "*.txt"}


def _jsonl(root):
    rows = [{"text": "one", "n": 1}, {"text": "two", "n": 2}]
    (root / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (root / "b.jsonl").write_text(json.dumps({"text": "three"}))
    return {"path": "*.jsonl"}


def _csv(root):
    (root / "a.csv").write_text('text,n\none,1\n"two, or more",2\n')
    (root / "b.csv").write_text("text,n\nthree,3\n")
    return {"path": "*.csv"}


def _folder(root):
    _text(root)
    _jsonl(root)
    return {"path": "."}


def _markdown(root):
    (root / "a.md").write_text("# One\n\nFirst.\n\n# Two\n\nSecond.\n")
    (root / "b.md").write_text("---\ntitle: Three\n---\nThird.\n")
    return {"path": "*.md", "split": "heading"}


def _html(root):
    for name, words in {"a": "one fine page", "b": "two fine pages"}.items():
        (root / f"{name}.html").write_text(f"<html><body><article><p>{words} of prose. {PROSE}</p></article></body></html>")
    return {"path": "*.html"}


def _warc(root):
    for name, words in {"a": "one fine page", "b": "two fine pages"}.items():
        page = f"<html><body><article><p>{words} of prose. {PROSE}</p></article></body></html>".encode()
        body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + page
        head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:x:{name}>\r\nContent-Length: {len(body)}\r\n\r\n"
        (root / f"{name}.warc").write_bytes(head.encode() + body + b"\r\n\r\n")
    return {"path": "*.warc"}


def _parquet(root):
    pq.write_table(pa.table({"text": ["one", "two"]}), root / "a.parquet")
    pq.write_table(pa.table({"text": ["three"]}), root / "b.parquet")
    return {"path": "*.parquet"}


def _python_docs(root):
    (root / "a.py").write_text('"""One."""\n\ndef f(x):\n    """Two."""\n')
    (root / "b.py").write_text('"""Three."""\n')
    return {"path": "."}


def _wikipedia(root):
    page = "<page><title>{0}</title><ns>0</ns><id>{0}</id><revision><id>9</id><text>Prose on {0}.</text></revision></page>"
    for name, numbers in {"a": (1, 2), "b": (3,)}.items():
        pages = "".join(page.format(number) for number in numbers)
        (root / f"{name}.xml").write_text(f"<mediawiki><siteinfo><dbname>{name}wiki</dbname></siteinfo>{pages}</mediawiki>")
    return {"path": "*.xml"}


def _hf_datasets(root):
    (root / "mine" / "data").mkdir(parents=True)
    (root / "mine" / "README.md").write_text("---\nlicense: mit\n---\n")
    _jsonl(root / "mine" / "data")
    return {"path": "./mine"}


PROSE = "There is enough of it here that any judge of content would take it for the main part of the page. " * 5
WORLDS = {
    "csv": _csv,
    "folder": _folder,
    "hf_datasets": _hf_datasets,
    "html": _html,
    "jsonl": _jsonl,
    "markdown": _markdown,
    "parquet": _parquet,
    "python_docs": _python_docs,
    "text": _text,
    "warc": _warc,
    "wikipedia": _wikipedia,
}


def read(source, root):
    harvests = [harvest for unit in source.units(root) for harvest in source.read(unit)]
    return pa.concat_tables([h.documents for h in harvests]), [skip for h in harvests for skip in h.skipped]


def made(use, root, **options):
    root.mkdir()
    return Source.model_validate({"use": use, **WORLDS[use](root), **options})


def test_every_source_has_a_world():
    assert set(WORLDS) == set(Source.names())


@pytest.mark.parametrize("name", Source.names())
def test_documents_have_the_schema_of_the_house(name, tmp_path):
    documents, skipped = read(made(name, tmp_path / "w"), tmp_path / "w")
    assert documents.schema == DOCUMENTS
    assert len(documents) >= 2
    assert skipped == []
    assert documents["part"].null_count == len(documents)


@pytest.mark.parametrize("name", Source.names())
def test_ids_are_unique_and_the_same_on_every_reading(name, tmp_path):
    source = made(name, tmp_path / "w")
    first, again = read(source, tmp_path / "w")[0], read(source, tmp_path / "w")[0]
    assert first.equals(again)
    assert len(set(first["id"].to_pylist())) == len(first)


@pytest.mark.parametrize("name", Source.names())
def test_ids_and_content_do_not_depend_on_where_the_project_lies(name, tmp_path):
    here, there = made(name, tmp_path / "here"), made(name, tmp_path / "elsewhere")
    assert here.content(tmp_path / "here") == there.content(tmp_path / "elsewhere")
    assert read(here, tmp_path / "here")[0].equals(read(there, tmp_path / "elsewhere")[0])


@pytest.mark.parametrize("name", Source.names())
def test_content_changes_when_a_file_is_renamed_or_altered(name, tmp_path):
    root = tmp_path / "w"
    source = made(name, root)
    before = source.content(root)
    changed = source.units(root)[-1].path
    renamed = changed.rename(changed.with_stem("zz"))
    after_renaming = source.content(root)
    renamed.write_bytes(renamed.read_bytes() + b"\n")
    assert len({before, after_renaming, source.content(root)}) == 3


@pytest.mark.parametrize("name", Source.names())
def test_a_name_goes_before_ids_and_sources(name, tmp_path):
    documents, _ = read(made(name, tmp_path / "w", name="mine"), tmp_path / "w")
    assert all(value.startswith("mine/") for value in documents["id"].to_pylist() + documents["source"].to_pylist())
