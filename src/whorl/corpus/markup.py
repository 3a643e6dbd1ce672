"""corpus/markup: bytes of a web page to characters, the way a browser would, and characters to a parsed page.

A byte order mark beats what the server declared, that beats what the page declares in its first kilobyte; a page that says
nothing is UTF-8 if it is valid UTF-8, else windows-1252. https://encoding.spec.whatwg.org. Does not guess encodings from
letter frequencies.
"""

import codecs
import re

import numpy as np
import numpy.typing as npt

__all__ = ["decode_html", "page_bytes"]

_SNIFFED_BYTES = 1024
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_META = re.compile(rb"""(?i)<meta\s[^>]{0,400}?charset\s*=\s*["']?\s*([a-z0-9_:.-]{2,40})""")
_XML = re.compile(rb"""(?i)^\s*<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([a-z0-9_:.-]{2,40})["']""")
# Labels that browsers read as another encoding, or that Python knows by another name.
_LABELS = {
    **dict.fromkeys(("ascii", "us-ascii", "ansi_x3.4-1968", "latin1", "latin-1", "iso-8859-1", "iso8859-1", "iso_8859-1",
        "iso88591",
                     "l1", "x-cp1252", "cp1252", "windows-1252", "iso-ir-100", "cp819"), "cp1252"),
    **dict.fromkeys(("gb2312", "gbk", "gb_2312-80", "x-gbk", "chinese", "csgb2312"), "gb18030"),
    **dict.fromkeys(("shift_jis", "shift-jis", "sjis", "x-sjis", "ms_kanji", "windows-31j"), "cp932"),
    **dict.fromkeys(("euc-kr", "ks_c_5601-1987", "ksc5601", "korean", "windows-949"), "cp949"),
    **dict.fromkeys(("iso-8859-9", "latin5"), "cp1254"),
    **dict.fromkeys(("iso-8859-11", "tis-620"), "cp874"),
    **dict.fromkeys(("iso-8859-8-i", "logical"), "iso-8859-8"),
    **dict.fromkeys(("unicode", "utf-16", "ucs-2"), "utf-16-le"),
    **dict.fromkeys(("utf8", "unicode-1-1-utf-8", "x-unicode20utf8"), "utf-8"),
    "big5-hkscs": "big5hkscs", "big5": "big5hkscs", "x-x-big5": "big5hkscs", "x-mac-cyrillic": "mac_cyrillic",
    "macintosh": "mac_roman", "x-mac-roman": "mac_roman", "dos-874": "cp874", "koi8": "koi8_r", "koi8-ru": "koi8_u",
}  # fmt: skip
# The encodings of the web; anything else Python could decode (base64, punycode, utf-7 ...) is not one.
_KNOWN = frozenset({"utf-8", "utf-16-le", "utf-16-be", "cp866", "koi8-r", "koi8-u", "mac-roman", "mac-cyrillic", "gb18030",
    "big5hkscs",
                    "euc_jp", "iso2022_jp", "cp932", "cp949", "cp874", *(f"cp{n}" for n in range(1250, 1259)),
                    *(f"iso8859-{n}" for n in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16))})  # fmt: skip


def decode_html(data: bytes, declared: str | None) -> str:
    """The characters of a page; `declared` is the charset of the server, if any. What cannot be decoded becomes U+FFFD."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    named = _known_codec(declared) if declared else None
    named = named or _codec_in_page(data[:_SNIFFED_BYTES])
    if named:
        return data.decode(named, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def page_bytes(html: str) -> npt.NDArray[np.uint8]:
    """A page as valid UTF-8; halves of surrogate pairs that stand alone become U+FFFD."""
    try:
        encoded = html.encode()
    except UnicodeEncodeError:
        encoded = html.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    return np.frombuffer(encoded, dtype=np.uint8)


def _known_codec(label: str) -> str | None:
    """The codec browsers use for a label, or None where they know no such label."""
    cleaned = label.strip().strip("\"'").lower()
    try:
        name = codecs.lookup(_LABELS.get(cleaned, cleaned)).name
    except (LookupError, ValueError):  # ValueError: a NUL, or a name that is not ASCII
        return None
    return name if name in _KNOWN else None


def _codec_in_page(start: bytes) -> str | None:
    found = _META.search(start) or _XML.search(start)
    named = _known_codec(found[1].decode("ascii")) if found else None
    return "utf-8" if named in ("utf-16-le", "utf-16-be") else named  # it could not have been read as ASCII
