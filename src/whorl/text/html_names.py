"""text/html_names: the tags and attributes of HTML that text extraction cares about, as small numbers and flags.

Names are found by a 64-bit hash of their lower case in one open table, so a compiled tokenizer needs no strings. Tags not
listed are tag 0: transparent inline elements. The flags follow https://html.spec.whatwg.org/multipage/parsing.html,
simplified.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

__all__ = [
    "ATTRIBUTES",
    "BLOCK",
    "CELL",
    "CLOSES_P",
    "HEADING",
    "HINTED",
    "ITEM",
    "MARK",
    "NAME_SLOTS",
    "RAW",
    "ROW",
    "SCOPE",
    "SECTION",
    "SKIP",
    "TAGS",
    "TAG_FLAGS",
    "VOID",
    "name_hash",
    "name_table",
]

# Flags of a tag.
VOID = 1  # has no content and no end tag
BLOCK = 2  # breaks the line before and after
CLOSES_P = 4  # an open paragraph ends where this begins
SCOPE = 8  # end tags inside do not reach out of it
RAW = 16  # content runs to the very end tag, whatever is in between
SKIP = 32  # content is never text of the page
HEADING = 64
ITEM = 128  # list items and definitions: one ends the other
CELL = 256
ROW = 512
SECTION = 1024  # groups of rows
MARK = 2048  # its place is kept for metadata

_PLAIN = BLOCK | CLOSES_P
TAG_FLAGS = {
    "": 0,
    **dict.fromkeys(("area", "base", "col", "embed", "input", "param", "source", "track", "wbr", "img", "image"), VOID),
    **dict.fromkeys(("meta", "link"), VOID | MARK),
    "br": VOID,
    "hr": VOID | _PLAIN,
    **dict.fromkeys(("script", "title"), RAW | SKIP | MARK),
    **dict.fromkeys(("style", "noscript", "template", "svg", "iframe", "textarea", "select", "noframes", "noembed"),
        RAW | SKIP),
    **dict.fromkeys(("button", "object", "applet", "audio", "video", "canvas", "datalist", "option", "rp", "rt", "rtc",
        "map"), SKIP),
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), _PLAIN | HEADING),
    **dict.fromkeys(("li", "dt", "dd"), _PLAIN | ITEM),
    **dict.fromkeys(("td", "th"), BLOCK | SCOPE | CELL),
    "caption": BLOCK | SCOPE,
    "tr": BLOCK | ROW,
    **dict.fromkeys(("thead", "tbody", "tfoot"), BLOCK | SECTION),
    "table": _PLAIN | SCOPE,
    "html": BLOCK | MARK,
    "body": BLOCK,
    "head": BLOCK,
    "time": MARK,
    "a": MARK,
    **dict.fromkeys(
        ("p", "div", "article", "section", "main", "nav", "aside", "header", "footer", "address", "blockquote", "center",
         "details", "summary", "dialog", "dir", "dl", "ul", "ol", "menu", "fieldset", "figure", "figcaption", "form", "hgroup",
         "pre", "listing", "xmp", "search", "legend", "label", "frameset"), _PLAIN),
    **dict.fromkeys(("span", "b", "i", "em", "strong", "font", "u", "s", "small", "big", "sub", "sup", "code", "kbd", "samp",
                     "tt", "q", "cite", "abbr", "mark", "ins", "del", "picture", "ruby", "var", "dfn"), 0),
}  # fmt: skip
TAGS: dict[str, int] = {name: number for number, name in enumerate(TAG_FLAGS)}

# Attributes by number; those from HINTED on are read for what their words hint at.
ATTRIBUTES: dict[str, int] = {
    name: number
    for number, name in enumerate(("", "href", "hidden", "aria-hidden", "style", "rel", "type", "class", "id", "role",
        "itemprop",
                                   "property", "data-component", "data-testid", "data-type"))
}  # fmt: skip
HINTED = ATTRIBUTES["class"]

NAME_SLOTS = 1024
_START, _PRIME, _WORD = 0xCBF29CE484222325, 0x100000001B3, 0xFFFFFFFFFFFFFFFF


def name_hash(name: str) -> int:
    """64-bit FNV-1a of a lower-case ASCII name."""
    code = _START
    for byte in name.encode("ascii"):
        code = (code ^ byte) * _PRIME & _WORD
    return code


@lru_cache(maxsize=1)
def name_table() -> npt.NDArray[np.int64]:
    """NAME_SLOTS x 2, built once per process: slot `hash >> 54` or one after it holds a known name's hash and its numbers.

    The numbers are the tag, 256 times the attribute and 65536 times the tag's flags. An empty slot is zeros.
    """
    table = np.zeros((NAME_SLOTS, 2), dtype=np.uint64)
    for name in sorted({*TAGS, *ATTRIBUTES} - {""}):
        code = name_hash(name)
        slot = code * NAME_SLOTS >> 64
        while table[slot, 0]:
            slot = (slot + 1) % NAME_SLOTS
        table[slot] = code, TAGS.get(name, 0) | ATTRIBUTES.get(name, 0) << 8 | TAG_FLAGS.get(name, 0) << 16
    return table.view(np.int64)
