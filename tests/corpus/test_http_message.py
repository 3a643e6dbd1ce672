import gzip
import io
import zlib

import pytest
import zstandard
from fastwarc.stream_io import BrotliWriter
from hypothesis import given
from hypothesis import strategies as st

from whorl.corpus.http_message import parse_http
from whorl.corpus.unpack import Unreadable

PAGE = b"<html><p>words</p></html>"


def parsed(headers, body=PAGE, most=1000, status=b"HTTP/1.1 200 OK"):
    return parse_http(b"\r\n".join([status, *headers, b"", body]), most)


def reason(*args, **kwargs):
    with pytest.raises(Unreadable) as caught:
        parsed(*args, **kwargs)
    return caught.value.reason


def chunked(body, size=7, extension=b""):
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces) + b"0\r\n\r\n"


def brotli(body):
    sink = io.BytesIO()
    writer = BrotliWriter(sink)
    writer.write(body)
    writer.close()
    return sink.getvalue()


def test_status_headers_and_payload_are_taken_apart():
    message = parsed(
        [b"Content-Type: text/HTML; Charset='utf-8'", b"X-Robots-Tag: noai", b"x-robots-tag:", b"  noindex", b"junk"]
    )
    assert (message.status, message.payload) == (200, PAGE)
    assert (message.content_type, message.charset) == ("text/html", "utf-8")
    assert list(message.headers[1:]) == [("X-Robots-Tag", "noai"), ("x-robots-tag", " noindex")]
    assert message.header("x-robots-tag") == "noai"
    assert message.header("absent") == ""


def test_line_feeds_alone_end_lines_too():
    message = parse_http(b"HTTP/1.0 404 Not Found\nContent-Type: text/plain\n\nbody", 100)
    assert (message.status, message.content_type, message.charset, message.payload) == (404, "text/plain", None, b"body")


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1\r\n\r\n", b"<html>", b"HTTP/1.1 20 OK\r\n\r\n", b"HTTP/1.1 200"])
def test_what_is_no_response_says_how_it_begins(data):
    with pytest.raises(Unreadable) as caught:
        parse_http(data, 100)
    assert caught.value.reason == "bad_http"
    assert caught.value.detail == f"begins with {data!r}"


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        (b"gzip", gzip.compress),
        (b"x-gzip", gzip.compress),
        (b"deflate", zlib.compress),
        (b"deflate", lambda body: zlib.compress(body, wbits=-15)),
        (b"zstd", lambda body: zstandard.ZstdCompressor().compress(body)),
        (b"br", brotli),
        (b"identity", bytes),
    ],
)
class TestEncodings:
    def test_an_encoding_is_taken_off(self, encoding, encode):
        assert parsed([b"Content-Encoding: " + encoding], encode(PAGE)).payload == PAGE
        both = [b"Transfer-Encoding: chunked", b"Content-Encoding: " + encoding]
        assert parsed(both, chunked(encode(PAGE))).payload == PAGE

    def test_a_page_larger_than_the_limit_is_refused_before_it_is_held(self, encoding, encode):
        assert reason([b"Content-Encoding: " + encoding], encode(bytes(5000))) == "too_large"

    def test_a_cut_is_noticed_where_the_encoding_has_an_end(self, encoding, encode):
        body = encode(PAGE * 20)
        cut = body[: len(body) // 2]
        if encoding == b"identity":
            assert parsed([b"Content-Encoding: identity"], cut).payload == cut
        else:
            assert reason([b"Content-Encoding: " + encoding], cut) == "bad_encoding"


@pytest.mark.parametrize(
    "header", [b"Content-Encoding: gzip", b"Content-Encoding: zstd", b"Transfer-Encoding: chunked", b"Content-Encoding: br"]
)
def test_a_page_stored_decoded_under_its_old_headers_is_read(header):
    assert parsed([header]).payload == PAGE


def test_two_encodings_come_off_in_reverse():
    assert parsed([b"Content-Encoding: deflate, gzip"], gzip.compress(zlib.compress(PAGE), mtime=0)).payload == PAGE


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n", b"hello world"),
        (b"5\nhello\n0\n\n", b"hello"),
        (b"0\r\n\r\n", b""),
    ],
)
def test_chunks_are_put_together(body, expected):
    assert parsed([b"Transfer-Encoding: chunked"], body).payload == expected


def test_chunks_that_break_off_are_not_a_page():
    body = chunked(PAGE)
    assert reason([b"Transfer-Encoding: chunked"], body[:-5]) == "bad_encoding"
    assert reason([b"Transfer-Encoding: chunked"], body[:20]) == "bad_encoding"


def test_an_encoding_nobody_knows_is_named():
    with pytest.raises(Unreadable) as caught:
        parsed([b"Content-Encoding: secret"])
    assert (caught.value.reason, caught.value.detail) == ("bad_encoding", "content-encoding secret")


@given(
    data=st.binary(max_size=200),
    headers=st.lists(
        st.sampled_from(
            [b"Transfer-Encoding: chunked", b"Content-Encoding: gzip", b"Content-Encoding: br, deflate, zstd", b": x"]
        )
    ),
)
def test_any_bytes_are_a_page_or_a_reason(data, headers):
    assert found(lambda: parsed(headers, data, most=150)) in ("page", "too_large", "bad_encoding")


@given(data=st.binary(max_size=200))
def test_any_record_is_a_response_or_a_reason(data):
    assert found(lambda: parse_http(data, 150)) in ("page", "bad_http", "too_large", "bad_encoding")


def found(act):
    """`page`, within the limit, or the reason why not."""
    try:
        payload = act().payload
    except Unreadable as fault:
        return fault.reason
    return "page" if len(payload) <= 150 else "more than the limit"
