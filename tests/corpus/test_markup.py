"""Bytes of pages to characters, as browsers do it."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.corpus.markup import decode_html, page_bytes

UMLAUT = "\u00e4"


@pytest.mark.parametrize(
    ("data", "declared", "text"),
    [
        (b"", None, ""),
        (UMLAUT.encode(), None, UMLAUT),
        (b"\xe4", None, UMLAUT),
        (b"\x93q\x94", "iso-8859-1", "\u201cq\u201d"),  # latin-1 means windows-1252
        (b"\x93q\x94", "latin1", "\u201cq\u201d"),
        (b"\xe4", " 'ISO-8859-15' ", UMLAUT),
        (b"\xa4", "iso-8859-15", "\u20ac"),
        ("\u0434".encode("koi8-r"), "KOI8-R", "\u0434"),
        ("\u6f22".encode("gbk"), "gb2312", "\u6f22"),
        ("\u6f22".encode("shift_jis"), "Shift_JIS", "\u6f22"),
        (codecs.BOM_UTF8 + UMLAUT.encode(), "koi8-r", UMLAUT),
        (codecs.BOM_UTF16_LE + UMLAUT.encode("utf-16-le"), "utf-8", UMLAUT),
        (codecs.BOM_UTF16_BE + UMLAUT.encode("utf-16-be"), None, UMLAUT),
        (b"<meta charset=iso-8859-2>\xb1", None, "<meta charset=iso-8859-2>\u0105"),
        (b"<meta charset=iso-8859-2>\xc4\x85", "utf-8", "<meta charset=iso-8859-2>\u0105"),
        (b"<META http-equiv='Content-Type' content='text/html; charset=KOI8-R'>\xc4", None, None),
        (b"<?xml version='1.0' encoding='iso-8859-2'?>\xb1", None, "<?xml version='1.0' encoding='iso-8859-2'?>\u0105"),
        (b"<meta charset=utf-16>a", None, "<meta charset=utf-16>a"),
        (b"a\xff", "utf-8", "a\ufffd"),
        (b"a\x81", None, "a\ufffd"),
    ],
)
def test_the_mark_beats_the_server_beats_the_page_beats_the_guess(data, declared, text):
    decoded = decode_html(data, declared)
    assert decoded == text if text is not None else decoded.endswith("\u0434")


def test_a_declaration_beyond_the_first_kilobyte_does_not_count():
    assert decode_html(b" " * 1100 + b"<meta charset=koi8-r>\xe4", None).endswith(UMLAUT)


@pytest.mark.parametrize(
    "label", ["", "no-such", "base64", "rot13", "punycode", "idna", "utf-7", "unicode_escape", "mbcs", "a\x00b", "\u00e4"]
)
def test_a_label_that_is_no_encoding_of_the_web_is_ignored(label):
    assert decode_html(UMLAUT.encode(), label) == UMLAUT


@given(
    data=st.binary(max_size=80),
    declared=st.one_of(st.none(), st.text(max_size=12), st.sampled_from(["big5", "euc-jp", "iso-2022-jp", "gbk", "hz"])),
)
def test_any_bytes_with_any_label_are_decoded(data, declared):
    decode_html(data, declared).encode()
    decode_html(b"<meta charset=" + data + b">" + data, None).encode()


def test_halves_of_surrogate_pairs_are_joined_or_replaced():
    assert page_bytes("a\ud83d\ude00b\ud800c").tobytes().decode() == "a\U0001f600b\ufffdc"
