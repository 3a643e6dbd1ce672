import gzip
import json

import pytest

from whorl.corpus.extract import Extracted, Extractor
from whorl.corpus.sources import Source


class Echo(Extractor):
    """An extractor that finds the page itself."""

    def extract(self, html, url):
        """The url shows in the title."""
        return Extracted(
            html.replace("nothing", ""), f"at {url}", "de", "2020-05-17", None, ("noai", "tdm-reservation: 1"), "http://c/"
        )


def read(root, content, file="deep/a.html", **options):
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    source = Source.model_validate({"use": "html", "path": "**/*.*", "extract": Echo(), **options})
    harvests = [harvest for unit in source.units(root) for harvest in source.read(unit)]
    return [row for h in harvests for row in h.documents.to_pylist()], [(s.id, s.reason) for h in harvests for s in h.skipped]


def test_a_page_becomes_a_document_with_what_it_says_of_itself(tmp_path):
    rows, skipped = read(tmp_path, b"<p>words", licence="mine")
    assert skipped == []
    assert json.loads(rows[0].pop("rights")) == {"robots_meta": ["noai"], "tdm_reservation": "1"}
    assert json.loads(rows[0].pop("meta")) == {"title": "at None", "canonical": "http://c/"}
    nothing = {"part": None, "added": None}
    said = {"url": "http://c/", "licence": "mine", "language": "de", "date": "2020-05-17"}
    assert rows == [{"id": "deep/a.html", "text": "<p>words", "source": "deep/a.html", **said, **nothing}]


def test_addresses_are_made_of_the_base_and_the_name(tmp_path):
    rows, _ = read(tmp_path, gzip.compress(b"<p>words", mtime=0), "deep/a.html.gz", base_url="http://site/", name="mine")
    assert (rows[0]["id"], rows[0]["url"]) == ("mine/deep/a.html.gz", "http://site/deep/a.html")


def test_bytes_are_decoded_as_declared(tmp_path):
    assert read(tmp_path, b"caf\xe9")[0][0]["text"] == "caf\u00e9"
    assert read(tmp_path, b"\xf2\xe5\xea\xf1\xf2", charset="windows-1251")[0][0]["text"] == "\u0442\u0435\u043a\u0441\u0442"


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty"), (b"nothing", "empty"), (b"x" * 200, "too_large"), (b" \n ", "empty")]
)
def test_a_page_without_content_is_skipped_with_its_reason(tmp_path, content, reason):
    assert read(tmp_path, content, max_page=100) == ([], [("deep/a.html", reason)])


def test_the_houses_extractor_is_the_default_and_finds_the_content(tmp_path):
    prose = "This paragraph has enough words that it can only be the content of the page, and not its menu. " * 5
    menu = "<nav><a href='/'>Home</a></nav>"
    (tmp_path / "a.html").write_text(f"<html><title>T</title><body>{menu}<article><p>{prose}</p></article></body></html>")
    source = Source.model_validate({"use": "html", "path": "*.html"})
    assert source.extract.use == "main_content"
    (harvest,) = source.read(source.units(tmp_path)[0])
    assert harvest.documents["text"].to_pylist()[0].split() == prose.split()
