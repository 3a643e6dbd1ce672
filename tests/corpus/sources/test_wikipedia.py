import bz2
import gzip
import json
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.core.errors import DataError
from whorl.corpus.sources import Source

SITE = """<siteinfo><dbname>dewiki</dbname><base>https://de.wikipedia.org/wiki/Hauptseite</base><namespaces>
<namespace key="-1" case="first-letter">Spezial</namespace><namespace key="0" /><namespace key="6">Datei</namespace>
<namespace key="10">Vorlage</namespace><namespace key="14">Kategorie</namespace></namespaces></siteinfo>"""


def page(number, text, *, title="", ns=0, more="", model="wikitext"):
    return (
        f"<page><title>{title or f'Page {number}'}</title><ns>{ns}</ns><id>{number}</id>{more}<revision><id>9{number}</id>"
        f"<timestamp>2024-01-02T03:04:05Z</timestamp><contributor><username>x</username><id>1</id></contributor>"
        f'<model>{model}</model><text xml:space="preserve">{text}</text></revision></page>\n'
    )


def dump(*pages, site=SITE):
    return f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" xml:lang="de">{site}{"".join(pages)}</mediawiki>\n'


def read(root, content, name="dewiki-20240101-pages-articles.xml", **options):
    (root / name).write_bytes(content.encode() if isinstance(content, str) else content)
    source = Source.model_validate({"use": "wikipedia", "path": name, **options})
    harvests = [harvest for unit in source.units(root) for harvest in source.read(unit)]
    return [row for h in harvests for row in h.documents.to_pylist()], [skip for h in harvests for skip in h.skipped]


def reasons(skipped):
    return [(skip.id, skip.reason) for skip in skipped]


def test_a_page_becomes_a_document_with_its_provenance(tmp_path):
    (row,), skipped = read(tmp_path, dump(page(12, "'''Die''' [[Elbe|Elbe]]. [[Datei:x.jpg|mini|y]]", title="Elbe (Fluss)")))
    assert skipped == []
    assert (row["id"], row["text"], row["language"], row["licence"]) == ("dewiki:12", "Die Elbe.", "de", "CC-BY-SA-4.0")
    assert row["url"] == "https://de.wikipedia.org/wiki/Elbe_(Fluss)"
    assert row["date"] == "2024-01-02T03:04:05Z"
    assert row["source"] == "dewiki-20240101-pages-articles.xml"
    assert json.loads(row["meta"]) == {"title": "Elbe (Fluss)", "revision": "912"}


def test_what_is_no_article_is_counted_with_its_reason(tmp_path):
    pages = [
        page(1, "#REDIRECT [[Elbe]]", more='<redirect title="Elbe" />'),
        page(2, "#Redirect [[Oder|x]]"),
        page(3, "text", ns=10),
        page(4, "a{}", model="css"),
        page(5, "{{only a template}}"),
        page(6, "x" * 200),
        page(7, "kept"),
    ]
    documents, skipped = read(tmp_path, dump(*pages), max_page=100)
    assert [row["id"] for row in documents] == ["dewiki:7"]
    assert reasons(skipped) == [
        ("dewiki:1", "redirect"),
        ("dewiki:2", "redirect"),
        ("dewiki:3", "other_namespace"),
        ("dewiki:4", "not_wikitext"),
        ("dewiki:5", "empty"),
        ("dewiki:6", "too_large"),
    ]
    assert [skip.detail for skip in skipped[:3]] == ["to Elbe", "to Oder", "10 Vorlage"]


def test_other_namespaces_are_read_when_asked_for(tmp_path):
    documents, _ = read(tmp_path, dump(page(1, "a"), page(2, "b", ns=10)), namespaces=[10])
    assert [row["id"] for row in documents] == ["dewiki:2"]


def test_a_deleted_text_is_skipped_as_such(tmp_path):
    deleted = page(1, "").replace('<text xml:space="preserve"></text>', '<text deleted="deleted" />')
    assert reasons(read(tmp_path, dump(deleted))[1]) == [("dewiki:1", "deleted")]


def test_the_last_revision_of_a_history_counts(tmp_path):
    older = "<revision><id>1</id><timestamp>2001-01-01T00:00:00Z</timestamp><text>old</text></revision>"
    (row,), _ = read(tmp_path, dump(page(1, "new", more=older)))
    assert (row["text"], row["date"]) == ("new", "2024-01-02T03:04:05Z")


def test_old_dumps_say_namespaces_in_titles_only(tmp_path):
    old = dump(page(1, "a"), page(2, "b", title="Vorlage:X")).replace("<ns>0</ns>", "")
    documents, skipped = read(tmp_path, old)
    assert [row["id"] for row in documents] == ["dewiki:1"]
    assert reasons(skipped) == [("dewiki:2", "other_namespace")]


def test_a_dump_without_site_is_named_by_its_file(tmp_path):
    (row,), _ = read(tmp_path, dump(page(1, "a"), site=""))
    assert (row["id"], row["url"]) == ("dewiki:1", None)
    (row,), _ = read(tmp_path, dump(page(1, "a"), site=""), name="articles.xml")
    assert row["id"] == "wiki:1"


def test_fields_of_the_recipe_reach_the_text(tmp_path):
    text = "== A ==\na {{born|1900}} &lt;math&gt;x^2&lt;/math&gt;\n== Einzelnachweise ==\nb"
    assert read(tmp_path, dump(page(1, text)))[0][0]["text"] == "A\n\na $x^2$"
    options = {"templates": {"Born": "(b. {1})"}, "keeps": [], "drop_sections": ["A"], "licence": "CC0-1.0", "language": "x"}
    (row,), _ = read(tmp_path, dump(page(1, f"c {{{{born|1900}}}}\n{text}")), **options)
    assert (row["text"], row["licence"], row["language"]) == ("c (b. 1900)\n\nEinzelnachweise\n\nb", "CC0-1.0", "x")


@pytest.mark.parametrize(("suffix", "pack"), [("bz2", bz2.compress), ("gz", gzip.compress)])
def test_compressed_and_multistream_dumps_read_as_plain_ones(tmp_path, suffix, pack):
    plain = read(tmp_path, dump(page(1, "a"), page(2, "b")), name="dewiki-x.xml")
    content = dump(page(1, "a"), page(2, "b")).encode()
    packed = b"".join(pack(content[start : start + 300]) for start in range(0, len(content), 300))
    name = f"dewiki-x.xml.{suffix}"
    documents, skipped = read(tmp_path, packed, name=name)
    assert [{**row, "source": "dewiki-x.xml"} for row in documents] == plain[0]
    assert skipped == plain[1] == []


def test_a_broken_page_is_lost_alone(tmp_path):
    broken = page(2, "b").replace("</title>", "</titel>")
    unsure = page(4, "d").replace("</revision></page>", "")  # the next page begins inside it
    bad = page(6, "\x01")
    documents, skipped = read(tmp_path, dump(page(1, "a"), broken, page(3, "c"), unsure, page(5, "e"), bad, page(7, "g")))
    assert [row["id"] for row in documents] == ["dewiki:1", "dewiki:3", "dewiki:5", "dewiki:7"]
    assert [skip.reason for skip in skipped] == ["malformed_xml"] * 3
    assert [skip.id for skip in skipped[1:]] == ["dewiki:4", "dewiki:6"]
    assert skipped[0].id.startswith("dewiki-20240101-pages-articles.xml:byte ")
    assert all(row["url"] for row in documents)


def test_a_clipped_dump_keeps_what_came_before(tmp_path):
    content = dump(page(1, "a"), page(2, "b"))
    documents, skipped = read(tmp_path, content[: content.index("</text>", content.index("Page 2"))])
    assert [row["id"] for row in documents] == ["dewiki:1"]
    assert reasons(skipped) == [("dewiki:2", "truncated")]
    packed = bz2.compress(content.encode())
    documents, skipped = read(tmp_path, packed[:-20], name="dewiki-x.xml.bz2")
    assert [skip.reason for skip in skipped] == ["truncated"]


@pytest.mark.parametrize("content", ["", "no xml at all", "<mediawiki>", "<a/>", "<mediawiki><page>"])
def test_what_is_no_dump_is_counted_not_crashed_on(tmp_path, content):
    documents, skipped = read(tmp_path, content)
    assert documents == []
    assert len(skipped) <= 1
    if content != "<a/>":
        assert skipped


def test_declared_entities_are_refused(tmp_path):
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>' + dump(page(1, "&b;"))
    documents, skipped = read(tmp_path, bomb)
    assert documents == []
    assert reasons(skipped) == [("dewiki-20240101-pages-articles.xml", "doctype")]


def test_a_compressed_bomb_stops(tmp_path):
    content = bz2.compress(dump(page(1, "a"), page(2, "b" * 40_000_000)).encode())
    documents, skipped = read(tmp_path, content, name="dewiki-x.xml.bz2")
    assert [row["id"] for row in documents] == ["dewiki:1"]
    assert [skip.reason for skip in skipped] == ["bomb"]


def test_a_pattern_without_files_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"no file matches .no/\*\.xml'"):
        Source.model_validate({"use": "wikipedia", "path": "no/*.xml"}).units(tmp_path)


@given(
    cuts=st.lists(st.integers(0, 1500), max_size=4), junk=st.sampled_from(["<", "&", "]]>", "<page>", "</page>", "\x02", "<b>"])
)
def test_any_damage_loses_pages_and_never_the_run(tmp_path_factory, cuts, junk):
    content = dump(*(page(number, f"text {number}") for number in range(1, 5)))
    for cut in cuts:
        content = content[:cut] + junk + content[cut:]
    documents, skipped = read(tmp_path_factory.mktemp("damage"), content)
    ids = [row["id"] for row in documents]
    assert len(set(ids)) == len(ids)
    assert len(documents) == 4 or skipped or cuts


@pytest.mark.real
def test_a_real_dump_is_accounted_for_to_the_page():
    if "WHORL_REAL_DATA" not in os.environ:
        pytest.skip("WHORL_REAL_DATA is not set")
    root = Path(os.environ["WHORL_REAL_DATA"])
    source = Source.model_validate({"use": "wikipedia", "path": "corpus/*.xml.bz2"})
    harvests = [harvest for unit in source.units(root) for harvest in source.read(unit)]
    counts = Counter(skip.reason for harvest in harvests for skip in harvest.skipped)
    assert sum(len(harvest.documents) for harvest in harvests) == 106
    assert counts == {"redirect": 99, "other_namespace": 1}
