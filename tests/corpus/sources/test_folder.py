import gzip
import json

import pytest

from whorl.core.config import Member
from whorl.corpus.sources import Source
from whorl.corpus.sources.folder import KINDS

PAGE = "<html><body><article><p>A paragraph of a page, long enough to be the main text of it.</p></article></body></html>"


def read(source, root):
    harvests = [harvest for unit in source.units(root) for harvest in source.read(unit)]
    documents = {row["id"]: row["text"] for harvest in harvests for row in harvest.documents.to_pylist()}
    return documents, {skip.id: skip.reason for harvest in harvests for skip in harvest.skipped}


def test_every_file_is_read_by_the_source_of_its_kind(tmp_path):
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("plain text")
    (folder / "deep" / "b.jsonl.gz").write_bytes(gzip.compress(json.dumps({"body": "a row"}).encode(), mtime=0))
    (folder / "c.html").write_text(PAGE)
    source = Source.model_validate({"use": "folder", "path": "data", "options": {"jsonl": {"text_field": "body"}}})
    documents, skipped = read(source, tmp_path)
    assert documents["a.txt"] == "plain text"
    assert documents["deep/b.jsonl.gz:1"] == "a row"
    assert any("long enough to be the main text" in text for text in documents.values())
    assert skipped == {}


def test_a_file_of_no_known_kind_is_skipped_with_that_reason(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / "data" / ".hidden.txt").write_text("left alone")
    documents, skipped = read(Source.model_validate({"use": "folder", "path": "data"}), tmp_path)
    assert documents == {}
    assert skipped == {"picture.png": "unknown_kind"}


def test_options_are_checked_when_the_recipe_is_read():
    with pytest.raises(ValueError, match="no jsonn; want some of"):
        Source.model_validate({"use": "folder", "path": "data", "options": {"jsonn": {}}})
    with pytest.raises(ValueError, match="text_feild"):
        Source.model_validate({"use": "folder", "path": "data", "options": {"jsonl": {"text_feild": "body"}}})


def test_every_kind_is_a_source():
    assert set(KINDS.values()) <= set(Source.names())
    assert issubclass(Source, Member)
