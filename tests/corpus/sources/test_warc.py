import bz2
import gzip
import json
import os
from collections import Counter
from pathlib import Path

import pytest
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType
from hypothesis import given
from hypothesis import strategies as st

from whorl.core.canonical import plain
from whorl.corpus.extract import Extracted, Extractor
from whorl.corpus.files import Unit
from whorl.corpus.markup import decode_html
from whorl.corpus.robots_txt import AI_AGENTS
from whorl.corpus.sources import Source

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n%s\r\n%s"


class Echo(Extractor):
    """An extractor that finds the page itself, so that tests see what reached it."""

    def extract(self, html, url):
        """Facts are words of the page."""
        robots = ("noai", "tdm-reservation: 1") if "noai" in html else ()
        return Extracted(
            html, f"at {url}", "en-us", "2020-05-17", "CC-BY-4.0" if "free" in html else None, robots, "http://a/canon"
        )


def record(kind="response", body=None, url="http://a/x", rid="1", **more):
    head = {"WARC-Type": kind, "WARC-Record-ID": f"<urn:x:{rid}>", "WARC-Target-URI": url, "WARC-Date": "2024-05-18T01:58:10Z"}
    head |= {name.replace("_", "-"): value for name, value in more.items()}
    body = RESPONSE % (b"", b"<p>words") if body is None else body
    lines = [f"{name}: {value}" for name, value in head.items() if value is not None]
    return "\r\n".join(["WARC/1.0", *lines, f"Content-Length: {len(body)}", "", ""]).encode() + body + b"\r\n\r\n"


def robots_txt(text, url="http://a/robots.txt", rid="r", status=200):
    return record(body=b"HTTP/1.1 %d OK\r\nContent-Type: text/plain\r\n\r\n%s" % (status, text), url=url, rid=rid)


def read(root, **options):
    source = Source.model_validate({"use": "warc", "path": "*.warc*", "extract": Echo(), **options})
    harvests = [harvest for unit in source.units(root) for harvest in source.read(unit)]
    return [row for h in harvests for row in h.documents.to_pylist()], [s for h in harvests for s in h.skipped]


def test_a_page_becomes_a_document_with_all_that_is_known_of_it(tmp_path):
    body = RESPONSE % (b"X-Robots-Tag: GPTBot: noindex\r\nTDM-Policy: http://a/p\r\n", "<p>free noai caf\u00e9".encode())
    (tmp_path / "a.warc").write_bytes(record(body=body, WARC_Payload_Digest="sha1:X", WARC_IP_Address="10.1.2.3"))
    rows, skipped = read(tmp_path, licence="unknown")
    assert skipped == []
    meta, rights = json.loads(rows[0].pop("meta")), json.loads(rows[0].pop("rights"))
    assert rows == [
        {
            "id": "urn:x:1",
            "text": "<p>free noai caf\u00e9",
            "source": "a.warc",
            "url": "http://a/x",
            "licence": "CC-BY-4.0",
            "language": "en-us",
            "date": "2020-05-17",
            "part": None,
            "added": "2024-05-18",
        }
    ]
    assert meta == {
        "title": "at http://a/x",
        "canonical": "http://a/canon",
        "crawled": "2024-05-18T01:58:10Z",
        "content_type": "text/html",
        "payload_digest": "sha1:X",
    }
    assert rights == {
        "robots_meta": ["noai"],
        "x_robots_tag": ["gptbot: noindex"],
        "tdm_reservation": "1",
        "tdm_policy": "http://a/p",
    }


def test_the_licence_of_the_recipe_holds_where_the_page_names_none(tmp_path):
    (tmp_path / "a.warc").write_bytes(record())
    assert read(tmp_path, licence="mine")[0][0]["licence"] == "mine"


@pytest.mark.parametrize(
    ("made", "reason", "detail"),
    [
        (record(body=b"HTTP/1.1 404 Not Found\r\n\r\n"), "status", "404"),
        (record(body=b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\nx"), "not_html", "image/png"),
        (record(body=b"HTTP/1.1 200 OK\r\n\r\njust words"), "not_html", "no content type"),
        (record(body=RESPONSE % (b"", b" \n")), "empty", "2 bytes"),
        (record(body=b"junk"), "bad_http", "begins with b'junk'"),
        (record(body=RESPONSE % (b"", b"x" * 2000)), "too_large", "a page of 2000 bytes, want at most 1000"),
        (record(body=b"x" * 6000), "too_large", "a record of 6000 bytes; set max_record"),
        (
            record(body=RESPONSE % (b"Content-Encoding: gzip\r\n", gzip.compress(b"x", mtime=0)[:-4])),
            "bad_encoding",
            "deflate: ends after 1 bytes",
        ),
        (record(WARC_Truncated="length"), "truncated", "by the crawler: length"),
        (record()[:-10], "truncated", "61 of 67 bytes of the record at byte 0"),
        (record("revisit"), "revisit", "revisit"),
        (record("continuation"), "continuation", "continuation"),
        (record("nonsense"), "unknown_type", "nonsense"),
        (record("resource", b"a log", Content_Type="text/plain"), "not_html", "text/plain"),
        (record("conversion", b"caf\xe9", Content_Type="text/plain"), "not_utf8", "at byte 3: unexpected end of data"),
        (robots_txt(b"User-agent: *"), "robots_txt", "evidence for the pages of its site, not a page"),
    ],
)
def test_a_record_that_is_no_page_is_skipped_with_its_reason_and_the_others_are_read(tmp_path, made, reason, detail):
    (tmp_path / "a.warc").write_bytes(record(rid="before") + made)
    rows, skipped = read(tmp_path, max_page=1000, max_record=5000)
    assert [row["id"] for row in rows] == ["urn:x:before"]
    assert [(skip.reason, skip.detail.replace(str(len(record(rid="before"))), "0")) for skip in skipped] == [(reason, detail)]
    assert skipped[0].id in ("urn:x:1", "urn:x:r")


def test_records_about_pages_are_no_pages(tmp_path):
    kinds = [record(kind, b"x", rid=kind) for kind in ("warcinfo", "request", "metadata")]
    (tmp_path / "a.warc").write_bytes(b"".join(kinds) + record())
    rows, skipped = read(tmp_path)
    assert (len(rows), skipped) == (1, [])


@pytest.mark.parametrize(
    ("body", "identified"), [(b"<!DOCTYPE html><p>x", None), (b"\xef\xbb\xbf <HTML><p>x", None), (b"<p>x", "text/html")]
)
def test_a_page_without_a_type_is_known_by_what_it_looks_like(tmp_path, body, identified):
    made = record(body=b"HTTP/1.1 200 OK\r\n\r\n" + body, WARC_Identified_Payload_Type=identified)
    (tmp_path / "a.warc").write_bytes(made)
    assert len(read(tmp_path)[0]) == 1


def test_resources_and_conversions_are_pages_too(tmp_path):
    resource = record("resource", b"<p>saved", rid="1", Content_Type="text/html; charset=utf-8")
    conversion = record("conversion", b"plain words", rid="2", Content_Type="text/plain")
    (tmp_path / "a.warc.wet").write_bytes(resource + conversion)
    rows, skipped = read(tmp_path)
    assert [(row["id"], row["text"]) for row in rows] == [("urn:x:1", "<p>saved"), ("urn:x:2", "plain words")]
    assert (rows[1]["url"], rows[1]["added"], rows[1]["rights"], skipped) == ("http://a/x", "2024-05-18", None, [])


def test_the_same_address_twice_gives_two_documents(tmp_path):
    later = {"WARC_Date": "2024-06-01T00:00:00Z"}
    both = record(rid="1") + record(rid="2", **later)
    unnamed = record(WARC_Record_ID=None) + record(WARC_Record_ID=None) + record(WARC_Record_ID=None, **later)
    (tmp_path / "a.warc").write_bytes(both + both + unnamed + record(WARC_Record_ID=None, WARC_Date=None))
    place = len(both + both + unnamed)
    assert [row["id"] for row in read(tmp_path, name="mine")[0]] == [
        "mine/urn:x:1",
        "mine/urn:x:2",
        "mine/urn:x:1#2",
        "mine/urn:x:2#2",
        "mine/http://a/x@2024-05-18T01:58:10Z",
        "mine/http://a/x@2024-05-18T01:58:10Z#2",
        "mine/http://a/x@2024-06-01T00:00:00Z",
        f"mine/a.warc:{place}",
    ]


@pytest.mark.parametrize("when", ["2008-10-294T05:21:46-0700", "yesterday", "2024-13-01T00:00:00Z", ""])
def test_a_day_that_is_none_is_left_out_and_the_words_kept(tmp_path, when):
    (tmp_path / "a.warc").write_bytes(record(WARC_Date=when))
    row = read(tmp_path)[0][0]
    assert row["added"] is None
    assert json.loads(row["meta"]).get("crawled", "") == when


class TestRobots:
    def rights(self, root, **options):
        rows, _ = read(root, **options)
        return {row["url"]: json.loads(row["rights"] or "{}").get("robots_txt", {}).get("disallowed") for row in rows}

    def test_a_robots_txt_anywhere_in_the_file_counts_for_its_site(self, tmp_path):
        urls = ["http://a/x", "http://a/private/y", "https://a/private/y", "http://b/private/y"]
        pages = [record(url=url, rid=str(number)) for number, url in enumerate(urls)]
        text = b"User-agent: CCBot\nUser-agent: GPTBot\nDisallow: /private"
        (tmp_path / "a.warc").write_bytes(b"".join(pages) + robots_txt(text))
        assert self.rights(tmp_path) == {urls[0]: [], urls[1]: ["CCBot", "GPTBot"], urls[2]: None, urls[3]: None}

    def test_a_star_keeps_out_every_known_agent(self, tmp_path):
        (tmp_path / "a.warc").write_bytes(robots_txt(b"User-agent: *\nDisallow: /") + record())
        assert self.rights(tmp_path) == {"http://a/x": sorted(AI_AGENTS)}

    def test_a_page_not_found_is_no_evidence(self, tmp_path):
        (tmp_path / "a.warc").write_bytes(robots_txt(b"User-agent: *\nDisallow: /", status=404) + record())
        assert self.rights(tmp_path) == {"http://a/x": None}

    def test_one_in_another_segment_counts_when_robots_names_it(self, tmp_path):
        (tmp_path / "a.warc").write_bytes(record())
        (tmp_path / "r").mkdir()
        (tmp_path / "r" / "b.warc.gz").write_bytes(gzip.compress(robots_txt(b"User-agent: CCBot\nDisallow: /"), mtime=0))
        assert self.rights(tmp_path) == {"http://a/x": None}
        assert self.rights(tmp_path, robots="r/*.warc.gz") == {"http://a/x": ["CCBot"]}

    def test_the_archives_own_goes_before_one_beside_it_and_a_later_before_an_earlier(self, tmp_path):
        own = robots_txt(b"User-agent: CCBot\nDisallow: /") + robots_txt(b"User-agent: GPTBot\nDisallow: /", rid="r2")
        (tmp_path / "a.warc").write_bytes(own + record())
        (tmp_path / "beside").mkdir()
        (tmp_path / "beside" / "b").write_bytes(robots_txt(b"User-agent: Diffbot\nDisallow: /"))
        assert self.rights(tmp_path, robots="beside/*") == {"http://a/x": ["GPTBot"]}

    def test_what_lies_beside_is_part_of_the_content_and_its_place_is_not(self, tmp_path):
        (tmp_path / "a.warc").write_bytes(record())
        (tmp_path / "beside").mkdir()
        (tmp_path / "beside" / "b").write_bytes(robots_txt(b"User-agent: *\nDisallow: /"))
        source = Source.model_validate({"use": "warc", "path": "*.warc", "robots": "beside/*", "extract": Echo()})
        before = source.content(tmp_path)
        (tmp_path / "beside" / "b").write_bytes(robots_txt(b"User-agent: *\nDisallow: /x"))
        assert source.content(tmp_path) != before
        assert "robots" not in plain(source, hashed_only=True)
        assert self.rights(tmp_path, robots="beside/*") == {"http://a/x": sorted(AI_AGENTS)}


@pytest.mark.parametrize("suffix", [".warc", ".warc.gz", ".warc.zst", ".warc.bz2"])
def test_an_archive_is_the_same_however_it_is_packed(tmp_path, suffix):
    pack = {".gz": gzip.compress, ".zst": lambda data: zstandard.ZstdCompressor().compress(data), ".warc": bytes}
    pack[".bz2"] = bz2.compress
    records = [record(rid=str(number)) for number in range(3)]
    (tmp_path / f"a{suffix}").write_bytes(b"".join(pack[Path(suffix).suffix or suffix](one) for one in records))
    rows, skipped = read(tmp_path)
    assert ([row["id"] for row in rows], skipped) == ([f"urn:x:{number}" for number in range(3)], [])


@pytest.mark.parametrize(
    ("data", "reasons"),
    [(b"", ["empty"]), (gzip.compress(b"", mtime=0), ["empty"]), (b"not gzip at all", ["damaged"]), (bytes(40), ["empty"])],
)
def test_a_file_without_records_is_counted(tmp_path, data, reasons):
    (tmp_path / "a.warc.gz").write_bytes(data)
    rows, skipped = read(tmp_path)
    assert (rows, [skip.reason for skip in skipped]) == ([], reasons)


def test_a_file_that_cannot_be_opened_is_counted(tmp_path):
    (tmp_path / "loop.warc").symlink_to(tmp_path / "loop.warc")
    (tmp_path / "folder.warc").mkdir()
    assert [(skip.id, skip.reason) for skip in read(tmp_path)[1]] == [("folder.warc", "folder"), ("loop.warc", "unreadable")]


def test_large_archives_are_handed_over_in_batches(tmp_path):
    page = RESPONSE % (b"", b"x" * 3_000_000)
    (tmp_path / "a.warc.gz").write_bytes(gzip.compress(b"".join(record(body=page, rid=str(n)) for n in range(4)), 1, mtime=0))
    source = Source.model_validate({"use": "warc", "path": "*.gz", "extract": Echo(), "max_ratio": 10_000})
    assert [len(harvest.documents) for harvest in source.read(source.units(tmp_path)[0])] == [3, 1]


ARCHIVE = [
    record("warcinfo", b"about", rid="0"),
    record(rid="1"),
    record("request", b"GET", rid="2"),
    record(body=RESPONSE % (b"Content-Encoding: gzip\r\n", gzip.compress(b"<p>words", mtime=0)), rid="3"),
    record(body=b"HTTP/1.1 404 Gone\r\n\r\n", rid="4"),
    robots_txt(b"User-agent: *\nDisallow: /", rid="5"),
    record("conversion", b"words", rid="6", Content_Type="text/plain"),
]
PAGES = {"1", "3", "4", "5", "6"}


@given(data=st.data(), packed=st.booleans())
def test_whatever_happens_to_an_archive_every_record_before_it_is_a_document_or_a_skip(tmp_path_factory, data, packed):
    pieces = [gzip.compress(one, mtime=0) if packed else one for one in ARCHIVE]
    whole = b"".join(pieces)
    at = data.draw(st.integers(0, len(whole)))
    gone, added = data.draw(st.integers(0, 30) | st.just(len(whole))), data.draw(st.binary(max_size=30))
    path = tmp_path_factory.mktemp("fuzz") / ("a.warc.gz" if packed else "a.warc")
    path.write_bytes(whole[:at] + added + whole[at + gone :])
    source = Source.model_validate({"use": "warc", "path": "*", "extract": Echo()})
    harvests = list(source.read(Unit(path.name, path, path.stat().st_size)))
    ids = [row for h in harvests for row in h.documents["id"].to_pylist()]
    skipped = [skip.id for h in harvests for skip in h.skipped]
    ends = [sum(map(len, pieces[: number + 1])) for number in range(len(pieces))]
    before = {str(number) for number, end in enumerate(ends) if end <= at} & PAGES
    assert {f"urn:x:{number}" for number in before & {"1", "3", "6"}} <= set(ids)
    assert {f"urn:x:{number}" for number in before} <= {*ids, *skipped}
    assert len(set(ids)) == len(ids)


@pytest.mark.real
@pytest.mark.skipif("WHORL_REAL_DATA" not in os.environ, reason="WHORL_REAL_DATA is not set")
class TestRealArchives:
    def test_every_page_of_real_archives_is_a_document_or_a_skip(self):
        folder = Path(os.environ["WHORL_REAL_DATA"]) / "corpus" / "warc"
        source = Source.model_validate({"use": "warc", "path": f"{folder}/*"})
        units = source.units(Path("/"))
        assert len(units) == 7
        for unit in units:
            harvests = list(source.read(unit))
            num_docs = sum(len(harvest.documents) for harvest in harvests)
            reasons = Counter(skip.reason for harvest in harvests for skip in harvest.skipped)
            pages = WarcRecordType.response | WarcRecordType.resource | WarcRecordType.conversion
            expected = sum(1 for _ in ArchiveIterator(str(unit.path), record_types=pages, parse_http=False))
            assert num_docs + sum(reasons.values()) == expected, unit.name
            assert reasons.total() == {"clipped.warc.gz": 1, "sample-0000.warc.gz": 2, "sample-0001.warc.gz": 2}.get(
                unit.name, 0
            )

    def test_pages_are_those_another_reader_sees(self):
        folder = Path(os.environ["WHORL_REAL_DATA"]) / "corpus" / "warc"
        source = Source.model_validate({"use": "warc", "path": f"{folder}/*.warc.gz", "extract": Echo()})
        num_same = 0
        for unit in source.units(Path("/")):
            ours = {row["id"]: row["text"] for h in source.read(unit) for row in h.documents.to_pylist()}
            for other in ArchiveIterator(
                str(unit.path), record_types=WarcRecordType.response, quirks_mode=True, auto_decode="none"
            ):
                doc_id = other.record_id.strip("<>")
                if doc_id in ours and not {"content-encoding", "transfer-encoding"} & {
                    name.lower() for name, _ in other.http_headers
                }:
                    assert ours[doc_id] == decode_html(other.reader.read(), other.http_charset)
                    num_same += 1
        assert num_same == 48  # the others claim encodings that only some of them have
