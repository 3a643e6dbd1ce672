"""text/html_tags: one tag of a page: its name, and what those of its attributes say that text extraction cares about.

Compiled, for text/html alone. Values are not decoded: an entity in a class name is not a hint.
"""

import numpy as np

from whorl.core.kernels import inner
from whorl.text.html_elements import ATTRIBUTE_FLAGS, ATTRIBUTE_HINTS
from whorl.text.html_hints import HIDDEN, LD_JSON, LICENCE, scan_hints
from whorl.text.html_names import ATTRIBUTES, HINTED, NAME_SLOTS
from whorl.text.html_scan import after, is_space

__all__ = ["HAS_HREF", "IS_HIDDEN", "IS_LD_JSON", "IS_LICENCE", "read_attributes", "read_name"]

HAS_HREF = 1  # bit of the attribute flags
IS_HIDDEN, IS_LD_JSON, IS_LICENCE = 1 << HIDDEN, 1 << LD_JSON, 1 << LICENCE  # bits of the hints

_HREF, _HIDDEN, _ARIA, _STYLE, _REL = (ATTRIBUTES[name] for name in ("href", "hidden", "aria-hidden", "style", "rel"))
_NOT_OF_WORDS = ~(IS_HIDDEN | IS_LD_JSON | IS_LICENCE)
_GT, _SLASH, _EQUALS, _DOUBLE, _SINGLE = 62, 47, 61, 34, 39
_FNV_START, _FNV_PRIME, _SLOT_SHIFT = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3), np.uint64(54)


@inner
def read_name(data, i, names):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """Where the name at byte i ends, and its numbers in the table of names; 0 if it is none of them."""
    code = _FNV_START
    while i < len(data):
        byte = data[i]
        if is_space(byte) or byte in (_GT, _SLASH, _EQUALS):
            break
        code = (code ^ np.uint64(byte + 32 * (65 <= byte <= 90))) * _FNV_PRIME
        i += 1
    slot = np.int64(code >> _SLOT_SHIFT)
    while names[slot, 0] != np.int64(code):
        if names[slot, 0] == 0:
            return i, np.int64(0)
        slot = (slot + 1) % NAME_SLOTS
    return i, names[slot, 1]


@inner
def read_attributes(data, i, names, hints, work):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """Read attributes from byte i into the work's hints and flags; returns where the tag ends."""
    work[ATTRIBUTE_HINTS] = 0
    work[ATTRIBUTE_FLAGS] = 0
    end = len(data)
    while i < end:
        byte = data[i]
        if byte == _GT:
            return i + 1
        if is_space(byte) or byte in (_SLASH, _EQUALS):
            i += 1
            continue
        i, numbers = read_name(data, i, names)
        while i < end and is_space(data[i]):
            i += 1
        start, stop = i, i
        if i < end and data[i] == _EQUALS:
            start, stop, i = _value(data, i + 1)
        attribute = numbers >> 8 & 0xFF
        if attribute:
            _note(data, (start, stop), attribute, hints, work)
    return end


@inner
def _value(data, i):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Start and end of the attribute value after an equals sign, and where to go on."""
    end = len(data)
    while i < end and is_space(data[i]):
        i += 1
    if i < end and (data[i] == _DOUBLE or data[i] == _SINGLE):
        behind = after(data, i + 1, data[i])
        return i + 1, max(i + 1, behind - 1), behind
    start = i
    while i < end and data[i] != _GT and not is_space(data[i]):
        i += 1
    return start, i, i


@inner
def _note(data, span, attribute, hints, work):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Take what one known attribute says."""
    if attribute == _HREF:
        work[ATTRIBUTE_FLAGS] |= HAS_HREF
    elif attribute in (_HIDDEN, _ARIA):
        if attribute == _HIDDEN or span[1] - span[0] == 4:  # aria-hidden says true or false
            work[ATTRIBUTE_HINTS] |= IS_HIDDEN
    else:
        wanted = _NOT_OF_WORDS
        if attribute < HINTED:
            wanted = IS_HIDDEN if attribute == _STYLE else IS_LICENCE if attribute == _REL else IS_LD_JSON
        work[ATTRIBUTE_HINTS] |= scan_hints(data, span[0], span[1], hints) & wanted
