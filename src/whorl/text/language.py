"""text/language: which language a text is in, read whole, with the share of its letters in each language.

Compact Language Detector 2 (https://github.com/CLD2Owners/cld2, through pycld2) on plain text without hints, so that the same
text always gets the same answer. A code is the primary subtag of BCP 47: `zh` for both scripts of Chinese, `no` for Bokmal.
Close languages are confused (Bosnian, Croatian, Serbian; Indonesian, Malay), and of answers on fewer than 20 characters two in
five are wrong; bench.langid counts both. Does not look at markup: extract the text first.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pycld2

from whorl.text.columns import text_buffers

__all__ = ["UNKNOWN", "Detection", "Languages", "detect", "known_languages", "languages", "primary_subtag"]

UNKNOWN: Final = "und"

# What the detector and older standards write, and what BCP 47 wants.
_PREFERRED = {
    "iw": "he", "in": "id", "ji": "yi", "jw": "jv", "mo": "ro", "nb": "no", "fil": "tl", "cmn": "zh", "bh": "bih",
    "tw": "ak", "un": UNKNOWN, "xxx": UNKNOWN, "zzb": UNKNOWN, "zze": UNKNOWN, "zzh": UNKNOWN, "zzp": UNKNOWN,
}  # fmt: skip
# Scripts that the detector knows only as such; each of these is written in one language.
_SCRIPTS = {"Bugi": "bug", "Goth": "got", "Nkoo": "nqo", "Vaii": "vai", "Yiii": "ii"}  # codespell:ignore vai

# The detector overflows above 20 MB (it calls 50 MB of English "Scots, 0 %"), and its scores above 4 MB; it is given pieces.
_PIECE_BYTES: Final = 1 << 20
_BREAK_BYTES: Final = 4096  # how far back a piece may end to end at a space
# It refuses text with characters that cannot be interchanged. A space is what it takes any character without letters for.
_REFUSED = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef" + "".join(
    f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17)) + "]")  # fmt: skip
# Where the detector is not sure it is right about half the time (bench.langid), so such a share counts half.
_SURE, _UNSURE = 1.0, 0.5


class Detection(NamedTuple):
    """What one text is written in."""

    code: str  # primary subtag, or UNKNOWN
    confidence: float  # share of the text in that language, halved where the detector is not sure; 0 when unknown
    shares: Mapping[str, float]  # of the bytes of letters, at most the three largest of each MiB; the rest is unknown


class Languages(NamedTuple):
    """Detections of a batch as columns."""

    codes: pa.Array  # strings
    confidences: npt.NDArray[np.float64]
    shares: pa.Array  # maps of code to share


def languages(texts: pa.Array | pa.ChunkedArray) -> Languages:
    """The language of every text of a column; a null is an empty text."""
    data, offsets = text_buffers(texts)
    whole = memoryview(data.data)
    found = [_detected(whole[start:end]) for start, end in pairwise(offsets.tolist())]
    shares = pa.array([list(one.shares.items()) for one in found], pa.map_(pa.string(), pa.float64()))
    confidences = np.array([one.confidence for one in found], dtype=np.float64)
    return Languages(pa.array([one.code for one in found], pa.string()), confidences, shares)


def detect(text: str) -> Detection:
    """The language of one text. A lone surrogate, which is no character, counts as a space."""
    return _detected(memoryview(text.encode("utf-8", "replace")))


@lru_cache(maxsize=1024)
def primary_subtag(tag: str) -> str:
    """The primary subtag this house uses for a language tag in any usual spelling: `iw` -> `he`, `zh-Hant` -> `zh`.

    A tag for a script without a language is UNKNOWN. Does not check that the language exists.
    """
    head, _, rest = tag.strip().replace("_", "-").partition("-")
    if head == "xx":
        return _SCRIPTS.get(rest, UNKNOWN)
    return _PREFERRED.get(head.lower(), head.lower())


@lru_cache(maxsize=1)
def known_languages() -> frozenset[str]:
    """Every code `detect` can give."""
    names = set(pycld2.DETECTED_LANGUAGES)
    scripts = {tag for _, tag in pycld2.LANGUAGES if tag.startswith("xx-")}
    return frozenset(primary_subtag(tag) for name, tag in pycld2.LANGUAGES if name in names or tag in scripts) | {UNKNOWN}


class _Finding(NamedTuple):
    """What the detector says of one piece."""

    num_bytes: int  # of letters
    percents: Mapping[str, int]
    certainty: float


def _detected(data: memoryview) -> Detection:
    findings = [_finding(piece) for piece in _pieces(data)]
    total = max(1, sum(finding.num_bytes for finding in findings))
    shares: dict[str, float] = {}
    certain: dict[str, float] = {}
    for num_bytes, percents, certainty in findings:
        for code, percent in percents.items():
            share = percent / 100 * num_bytes / total
            shares[code] = shares.get(code, 0.0) + share
            certain[code] = certain.get(code, 0.0) + share * certainty
    if not shares:
        return Detection(UNKNOWN, 0.0, {})
    ranked = sorted(shares, key=lambda code: (-shares[code], code))
    return Detection(ranked[0], certain[ranked[0]], {code: shares[code] for code in ranked})


def _pieces(data: memoryview) -> Iterator[bytes]:
    """The text in pieces of at most _PIECE_BYTES that end at a space where there is one, and never inside a character."""
    begin = 0
    while len(data) - begin > _PIECE_BYTES:
        piece = bytes(data[begin : begin + _PIECE_BYTES])
        end = max(piece.rfind(space, _PIECE_BYTES - _BREAK_BYTES) for space in (b" ", b"\n")) + 1
        end = end or _whole_characters(data, begin + _PIECE_BYTES) - begin
        yield piece[:end]
        begin += end
    yield bytes(data[begin:])


def _whole_characters(data: memoryview, end: int) -> int:
    """The last place at or before `end` where a character begins."""
    while data[end] & 0xC0 == 0x80:
        end -= 1
    return end


def _finding(piece: bytes) -> _Finding:
    """What the detector says of a piece: first only what it is sure of, and where that is nothing, its best guess."""
    try:
        is_sure, num_bytes, details = pycld2.detect(piece, isPlainText=True)
    except pycld2.error:
        piece = _REFUSED.sub(" ", piece.decode()).encode()
        is_sure, num_bytes, details = pycld2.detect(piece, isPlainText=True)
    percents = _percents(details)
    if not percents and num_bytes:
        is_sure, num_bytes, details = pycld2.detect(piece, isPlainText=True, bestEffort=True)
        return _Finding(num_bytes, _percents(details), _UNSURE)
    return _Finding(num_bytes, percents, _SURE if is_sure else _UNSURE)


def _percents(details: tuple[tuple[str, str, int, float], ...]) -> dict[str, int]:
    """Percent of the letters by language, what is not known left out."""
    percents: dict[str, int] = {}
    for _, tag, percent, _ in details:
        code = primary_subtag(tag)
        if code != UNKNOWN and percent:
            percents[code] = percents.get(code, 0) + percent
    return percents
