r"""tokens/fast: the same ids from gigatoken, many times faster, where they were shown to be the same.

The extra package `gigatoken` is used when it is the version the parity tests ran with, knows how the vocabulary splits text,
and gives the reference's ids for a battery of nasty strings (tokens/battery). Texts with a character that one library's
Unicode tables know and the other's may not (gigatoken 0.10 has Unicode 17, tokenizers 0.23 has 16: 4,657 letters differ) go
to the reference. Which way was taken can never be told from the ids. Does not decode.
"""

import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tokenizers

from whorl.tokens.battery import battery
from whorl.tokens.column import EncodedColumn, encode_by_reference
from whorl.tokens.splits import SPLITS
from whorl.tokens.vocabulary import Vocabulary

__all__ = ["Encoder", "FastEncoder", "find_encoder", "unsettled"]

_TESTED_VERSION: Final = "0.10.0"  # its ids were compared with the reference's; another version may differ

# It remembers every word it has seen: 250 MB of random letters took 1.9 GB. Opening it anew takes some 0.1 s, so memory is
# bounded by about eight times this many bytes of words that are all different; prose needs a tenth of that.
_RENEWED_AFTER: Final = 128 << 20

_CL100K_PRINTED: Final = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s+"
)
_QWEN2_PRINTED: Final = SPLITS["llama3"].replace(r"\p{N}{1,3}", r"\p{N}")
_GPT2_PRINTED: Final = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


class _Respelling(NamedTuple):
    """A split as gigatoken knows it, and the characters on which the two spellings disagree."""

    pattern: str
    except_for: str = ""


_RESPELLED: Final[Mapping[str, _Respelling]] = MappingProxyType(
    {
        SPLITS["qwen2"]: _Respelling(_QWEN2_PRINTED, "\u017f"),  # ignoring case, the long s is an s
        SPLITS["cl100k"]: _Respelling(_CL100K_PRINTED),
        _GPT2_PRINTED: _Respelling(SPLITS["gpt2"]),
    }
)


class FastEncoder:
    """gigatoken for one vocabulary, and the reference for the texts that it may not see."""

    def __init__(self, open_fast: Callable[[], Any], reference: tokenizers.Tokenizer, except_for: str) -> None:
        """Use `find_encoder`."""
        self._open_fast = open_fast
        self._fast = open_fast()
        self._seen_bytes = 0
        self._reference = reference
        self._kept_away = _class_of(unsettled(), except_for)

    def encode(self, texts: pa.Array) -> EncodedColumn:
        """Ids of a column of large strings that is UTF-8 throughout; on all cores, on one within a pool's process."""
        kept_away = pc.match_substring_regex(texts, self._kept_away).to_numpy(zero_copy_only=False)
        if not kept_away.any():
            return self._by_fast(texts)
        parts, start = [], 0
        for is_kept_away, run in groupby(kept_away.tolist()):
            some = texts.slice(start, sum(1 for _ in run))
            parts.append(encode_by_reference(self._reference, some.to_pylist()) if is_kept_away else self._by_fast(some))
            start += len(some)
        return _chained(parts)

    def _by_fast(self, texts: pa.Array) -> EncodedColumn:
        if self._seen_bytes > _RENEWED_AFTER:
            self._fast, self._seen_bytes = self._open_fast(), 0
        self._seen_bytes += texts.nbytes
        layout = self._fast.encode_batch(_strings(texts)).layout
        offsets = np.asarray(layout.offsets.data, dtype=np.int64)
        ids = np.asarray(layout.content.data, dtype=np.uint32)
        return EncodedColumn(ids[offsets[0] : offsets[-1]], offsets - offsets[0])


class Encoder(NamedTuple):
    """What `find_encoder` found: a fast way, or the reason why there is none."""

    fast: FastEncoder | None
    reason: str


def find_encoder(vocabulary: Vocabulary, reference: tokenizers.Tokenizer) -> Encoder:
    """A fast way to encode with this vocabulary; `reference` encodes with its text form."""
    try:
        found = version("gigatoken")
    except PackageNotFoundError:
        return Encoder(None, "gigatoken is not installed (pip install 'whorl[fast]')")
    if found != _TESTED_VERSION:
        return Encoder(None, f"gigatoken {found} is installed; ids were compared with {_TESTED_VERSION} only")
    refusal = _refusal(vocabulary)
    if refusal:
        return Encoder(None, refusal)
    return _opened(vocabulary, reference)


def _opened(vocabulary: Vocabulary, reference: tokenizers.Tokenizer) -> Encoder:
    import gigatoken  # noqa: PLC0415 - optional

    data, except_for = _respelled(vocabulary.text_form())
    text = json.dumps(data)
    try:
        fast = FastEncoder(lambda: gigatoken.Tokenizer.from_json(text), reference, except_for)
    except (RuntimeError, ValueError) as error:
        return Encoder(None, f"gigatoken does not know this vocabulary: {str(error).strip().splitlines()[0][:120]}")
    texts = battery(vocabulary)
    ours, wanted = fast.encode(pa.array(texts, pa.large_string())), encode_by_reference(reference, texts)
    differing = first_difference(ours, wanted)
    if differing is not None:
        return Encoder(None, f"gigatoken gives other ids than tokenizers, first for {ascii(texts[differing])[:80]}")
    return Encoder(fast, "")


def first_difference(one: EncodedColumn, other: EncodedColumn) -> int | None:
    """The first text that has other ids in one column than in the other."""
    for number in range(len(one.offsets) - 1):
        mine = one.ids[one.offsets[number] : one.offsets[number + 1]]
        if not np.array_equal(mine, other.ids[other.offsets[number] : other.offsets[number + 1]]):
            return number
    return None


def _refusal(vocabulary: Vocabulary) -> str:
    """Why a vocabulary may not be given to gigatoken at all: what parity tests found to differ, or do not cover."""
    if vocabulary.kind != "BPE":
        return f"gigatoken encodes BPE, and this is {vocabulary.kind}"
    if any(token["rstrip"] or token["single_word"] for token in vocabulary.plain_added):
        return "gigatoken reads added tokens with rstrip or single_word otherwise"
    normalizer = vocabulary.data.get("normalizer")
    if normalizer is not None and any(token["normalized"] for token in vocabulary.plain_added):
        return "gigatoken reads added tokens that are looked for in normalized text otherwise"
    name = (normalizer or {}).get("type")
    if name not in (None, "NFC") and not vocabulary.model.get("byte_fallback"):
        return f"no parity test covers the normalizer {name}"
    return ""


def _respelled(data: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The vocabulary with its split spelled as gigatoken knows it."""
    step = data.get("pre_tokenizer") or {}
    inside = step.get("pretokenizers", [])
    patterns = [one.get("pattern", {}).get("Regex") for one in inside]
    known = [(place, _RESPELLED[pattern]) for place, pattern in enumerate(patterns) if pattern in _RESPELLED]
    if not known:
        return data, ""
    place, spelling = known[0]
    renamed = {**inside[place], "pattern": {"Regex": spelling.pattern}}
    return {
        **data,
        "pre_tokenizer": {**step, "pretokenizers": [*inside[:place], renamed, *inside[place + 1 :]]},
    }, spelling.except_for


@cache
def unsettled() -> tuple[tuple[int, int], ...]:
    """Ranges of code points, ends included, that this Python's Unicode does not assign: newer tables may differ on them."""
    # Python 3.13 has Unicode 15.1: what it assigns, both libraries know, and they agree on all of it (tests/tokens/test_fast).
    strays = [point for point in range(0x110000) if unicodedata.category(chr(point)) == "Cn"]
    runs = (list(run) for _, run in groupby(enumerate(strays), key=lambda pair: pair[1] - pair[0]))
    return tuple((run[0][1], run[-1][1]) for run in runs)


@cache
def _class_of(ranges: Sequence[tuple[int, int]], more: str) -> str:
    points = [*ranges, *((ord(character), ord(character)) for character in more)]
    return "[" + "".join(rf"\x{{{first:X}}}-\x{{{last:X}}}" for first, last in points) + "]"


def _strings(texts: pa.Array) -> Any:  # noqa: ANN401 - no stubs
    """The column as awkward sees it, without copying a text."""
    import awkward  # type: ignore[import-untyped]  # noqa: PLC0415 - comes with gigatoken

    _, offsets, data = texts.buffers()
    places = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    content = np.frombuffer(data, dtype=np.uint8) if data is not None else np.empty(0, np.uint8)
    letters = awkward.contents.NumpyArray(content, parameters={"__array__": "char"})
    return awkward.Array(
        awkward.contents.ListOffsetArray(awkward.index.Index64(places), letters, parameters={"__array__": "string"})
    )


def _chained(parts: Sequence[EncodedColumn]) -> EncodedColumn:
    lengths = np.concatenate([np.diff(part.offsets) for part in parts])
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    return EncodedColumn(np.concatenate([part.ids for part in parts]), offsets)
