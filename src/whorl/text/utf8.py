"""text/utf8: characters out of bytes, for compiled kernels. The bytes are known to be valid UTF-8; nothing is checked."""

import numpy as np

from whorl.core.kernels import ARRAYS_GIVEN, kernel

__all__ = ["before", "decode"]


@kernel(**ARRAYS_GIVEN)
def decode(data, i):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """Code point at byte i and the number of bytes it takes."""
    lead = np.int64(data[i])
    if lead < 0x80:
        return lead, 1
    if lead < 0xE0:
        return (lead & 0x1F) << 6 | data[i + 1] & 0x3F, 2
    if lead < 0xF0:
        return (lead & 0x0F) << 12 | (data[i + 1] & 0x3F) << 6 | data[i + 2] & 0x3F, 3
    return (lead & 7) << 18 | (data[i + 1] & 0x3F) << 12 | (data[i + 2] & 0x3F) << 6 | data[i + 3] & 0x3F, 4


@kernel(**ARRAYS_GIVEN)
def before(data, i):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - compiled
    """Code point of the character that ends before byte i; there must be one."""
    i -= 1
    while data[i] & 0xC0 == 0x80:
        i -= 1
    point, _ = decode(data, i)
    return point
