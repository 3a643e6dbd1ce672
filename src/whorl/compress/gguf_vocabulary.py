r"""compress/gguf_vocabulary: a byte-level BPE vocabulary as llama.cpp reads it: pieces, their kinds, merges, how text is cut.

llama.cpp knows ways of cutting text into words by name only. A way it knows is written; one that differs on rare characters is
written and the difference said; any other is refused, because texts would get other ids. Does not write files.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from whorl.core.errors import DataError
from whorl.tokens.splits import SPLITS
from whorl.tokens.vocabulary import Vocabulary

__all__ = ["Cutting", "Words", "cutting_of", "words_of"]

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5  # llama.cpp's kinds of tokens

_LONG_S = "'\\u017f after a letter is an ending like 's here, and is none there"
_NFC = "text is brought into NFC here and not there"
_BYTES: Final = {"type": "ByteLevel", "add_prefix_space": False}


class Cutting(NamedTuple):
    """How llama.cpp cuts text into words, and where that differs from us."""

    name: str  # tokenizer.ggml.pre
    differences: tuple[str, ...] = ()


class Words(NamedTuple):
    """A vocabulary by id."""

    tokens: tuple[str, ...]
    kinds: tuple[int, ...]
    merges: tuple[str, ...]


_CUTTINGS: Final[Mapping[str, Cutting]] = {
    SPLITS["qwen2"]: Cutting("qwen2"),
    SPLITS["llama3"].replace(r"\p{N}{1,3}", r"\p{N}"): Cutting("qwen2", (_LONG_S,)),  # as Qwen publishes it
    SPLITS["gpt2"]: Cutting("gpt-2"),
    SPLITS["llama3"]: Cutting("smaug-bpe", (_LONG_S,)),
}
# The same words; and a word that is a piece is not put together from smaller ones, as the published file of Llama 3 asks.
_WHOLE_WORDS: Final = {"smaug-bpe": "llama-bpe"}


def cutting_of(vocabulary: Vocabulary) -> Cutting:
    """llama.cpp's name for how a vocabulary cuts text. Raises DataError where it has none."""
    if vocabulary.kind != "BPE":
        raise DataError(
            f"llama.cpp reads byte-level BPE as we have it, and this is {vocabulary.kind}; learn one with kind: bpe"
        )
    found = _CUTTINGS.get(_pattern(vocabulary.data) or "")
    whole_words = bool(vocabulary.model.get("ignore_merges"))
    if found is None or (whole_words and found.name not in _WHOLE_WORDS):
        raise DataError(
            "llama.cpp has no name for how this vocabulary cuts text into words, and a wrong one gives texts other ids; it "
            "knows the splits qwen2, gpt2 and llama3. Set cutting: to llama.cpp's name of the nearest if ids may differ"
        )
    normalizer = vocabulary.data.get("normalizer")
    if normalizer not in (None, {"type": "NFC"}):
        raise DataError(
            f"llama.cpp does not normalise text, and this vocabulary does: {normalizer}; set cutting: if ids may differ"
        )
    name = _WHOLE_WORDS[found.name] if whole_words else found.name
    return Cutting(name, found.differences + ((_NFC,) if normalizer else ()))


def words_of(vocabulary: Vocabulary, size: int) -> Words:
    """The vocabulary by id, up to as many rows as the model has. Raises DataError where it has fewer."""
    if vocabulary.size > size:
        raise DataError(f"the tokenizer has {vocabulary.size} ids and the model rows for {size}; they do not belong together")
    tokens = [f"[UNUSED{number}]" for number in range(size)]
    kinds = [UNUSED] * size
    for piece, number in vocabulary.pieces.items():
        tokens[number], kinds[number] = piece, NORMAL
    for token in vocabulary.added:
        number = token["id"]
        tokens[number], kinds[number] = token["content"], CONTROL if token["special"] else USER_DEFINED
    merges = (merge if isinstance(merge, str) else " ".join(merge) for merge in vocabulary.model["merges"])
    return Words(tuple(tokens), tuple(kinds), tuple(merges))


def _pattern(data: Mapping[str, Any]) -> str | None:
    """The expression that cuts text, of a vocabulary that does nothing else before it writes bytes as letters."""
    step = data.get("pre_tokenizer") or {}
    steps = step.get("pretokenizers", [step])
    if not steps or not _BYTES.items() <= steps[-1].items():
        return None
    if len(steps) == 1:
        return SPLITS["gpt2"] if steps[0].get("use_regex", True) else None
    cut = steps[0]
    is_plain = len(steps) == 2 and not steps[1].get("use_regex", True) and cut.get("type") == "Split"
    if not is_plain or cut["behavior"] != "Isolated" or cut["invert"]:
        return None
    return cut["pattern"].get("Regex") if isinstance(cut["pattern"], dict) else None
