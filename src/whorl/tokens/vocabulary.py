"""tokens/vocabulary: what a tokenizer.json says, read as data: its ids, its special tokens, whether text survives it.

The one place that knows the layout of that file. Encodes nothing.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from whorl.core.errors import ArtifactError

__all__ = ["BYTE_LETTERS", "CONTINUES", "Vocabulary", "as_bytes", "as_letters"]


def _letters() -> tuple[str, ...]:
    shown = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = iter(range(0x100, 0x200))
    return tuple(chr(byte if byte in shown else next(hidden)) for byte in range(256))


# How a byte is written in a byte-level vocabulary: as itself where that is a visible Latin-1 character, else from U+0100 on.
BYTE_LETTERS: Final[tuple[str, ...]] = _letters()
_BYTE_OF: Final = {letter: byte for byte, letter in enumerate(BYTE_LETTERS)}
CONTINUES: Final = "\u2026"  # opens a piece that goes on inside a word; no byte is written so, unlike the usual ##

# No text spells this: U+10FFFF is no character, nor is it how a byte is written.
_OUT_OF_REACH: Final = "\U0010ffff" * 8
_KEEPS_ALL: Final = frozenset({"Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"})  # of a split's behaviours


@dataclass(frozen=True)
class Vocabulary:
    """A parsed tokenizer.json. Immutable by convention: who changes it copies it."""

    data: Mapping[str, Any]

    @classmethod
    def parse(cls, text: str, where: str) -> "Vocabulary":
        """Raises ArtifactError for what is no tokenizer.json, or one whose encoding would be random."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"{where} is not a tokenizer ({error}); copy it again from its source") from error
        model = data.get("model") if isinstance(data, dict) else None
        if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict | list):
            raise ArtifactError(f"{where} is not a tokenizer (it has no model with a vocab); copy it again from its source")
        if model.get("dropout"):
            raise ArtifactError(
                f"{where}: model.dropout is {model['dropout']}: the same text would get other ids each time; set it to null"
            )
        return cls(data)

    @property
    def model(self) -> Mapping[str, Any]:
        """The part that turns words into ids."""
        model: Mapping[str, Any] = self.data["model"]
        return model

    @cached_property
    def kind(self) -> str:
        """`BPE`, `WordPiece`, `Unigram` or `WordLevel`; older files do not say and are told by what they hold."""
        found = self.model.get("type")
        if found:
            return str(found)
        if "merges" in self.model:
            return "BPE"
        return "Unigram" if isinstance(self.model["vocab"], list) else "WordPiece"

    @cached_property
    def pieces(self) -> Mapping[str, int]:
        """Piece -> id, of the model alone."""
        vocab = self.model["vocab"]
        if isinstance(vocab, list):
            return {piece: number for number, (piece, _) in enumerate(vocab)}
        return dict(vocab)

    @cached_property
    def added(self) -> tuple[Mapping[str, Any], ...]:
        """Tokens beside the model, as the file lists them."""
        return tuple(self.data.get("added_tokens") or ())

    @cached_property
    def special(self) -> Mapping[str, int]:
        """Special token -> id. No text gets these ids."""
        return {token["content"]: token["id"] for token in self.added if token["special"]}

    @cached_property
    def ids(self) -> frozenset[int]:
        """Every id that means something."""
        return frozenset(self.pieces.values()) | {token["id"] for token in self.added}

    @cached_property
    def size(self) -> int:
        """One more than the highest id: a vocabulary from elsewhere may leave some unused."""
        return max(self.ids, default=-1) + 1

    @cached_property
    def plain_added(self) -> tuple[Mapping[str, Any], ...]:
        """Added tokens that are found in text, like any piece."""
        return tuple(token for token in self.added if not token["special"])

    @cached_property
    def spelled_by_text(self) -> frozenset[str]:
        """Special tokens that are also ordinary pieces of text, because merging or the alphabet makes them."""
        if self.kind != "BPE":
            return frozenset()
        made = {_joined(merge) for merge in self.model["merges"]}
        return frozenset(token for token in self.special if token in self.pieces and (token in made or len(token) == 1))

    @cached_property
    def is_read_alike(self) -> bool:
        """Whether the library, told to leave special tokens alone, reads text as `text_form` does without further ado."""
        hidden = self.kind == "BPE" and not self.model.get("ignore_merges")
        return not self.plain_added and (hidden or not any(token in self.pieces for token in self.special))

    def text_form(self) -> dict[str, Any]:
        """The same vocabulary as plain text meets it: no special token is looked for, and none can be spelled.

        A vocabulary may list `</s>` among its pieces too; a page that spells it would end its own document.
        """
        hidden = {token for token in self.special if token in self.pieces} - self.spelled_by_text
        unknown = self.model.get("unk_token")
        names = {token: _OUT_OF_REACH + token for token in hidden if token != unknown}
        vocab = self.model["vocab"]
        if isinstance(vocab, list):
            shown: Any = [[names.get(piece, piece), score] for piece, score in vocab]
        else:
            shown = {names.get(piece, piece): number for piece, number in vocab.items()}
        plain = {"added_tokens": list(self.plain_added), "truncation": None, "padding": None, "post_processor": None}
        return {**self.data, **plain, "model": {**self.model, "vocab": shown}}

    @cached_property
    def is_lossless(self) -> bool:
        """Whether every text comes back byte for byte, told from the steps the file asks for; in doubt, no."""
        steps = tuple(_steps(self.data.get("pre_tokenizer"), "pretokenizers"))
        swallows = any(token["lstrip"] or token["rstrip"] for token in self.plain_added)
        return (
            self.data.get("normalizer") is None
            and not swallows
            and any(step["type"] == "ByteLevel" for step in steps)
            and all(_keeps_all(step) for step in steps)
            and self._decodes_bytes()
            and set(BYTE_LETTERS) <= self.pieces.keys()
            and (self.kind != "WordPiece" or {CONTINUES + letter for letter in BYTE_LETTERS} <= self.pieces.keys())
        )

    def _decodes_bytes(self) -> bool:
        steps = tuple(_steps(self.data.get("decoder"), "decoders"))
        prefix = self.model.get("continuing_subword_prefix") or ""
        if self.kind == "WordPiece":
            undone = {"type": "Replace", "pattern": {"String": CONTINUES}, "content": ""}
            return prefix == CONTINUES and len(steps) == 2 and steps[0] == undone and steps[1]["type"] == "ByteLevel"
        return self.kind in ("BPE", "Unigram") and not prefix and [step["type"] for step in steps] == ["ByteLevel"]


def as_letters(data: bytes) -> str:
    """Bytes as a byte-level vocabulary writes them."""
    return "".join(BYTE_LETTERS[byte] for byte in data)


def as_bytes(piece: str) -> bytes | None:
    """What a byte-level piece stands for; None for one that is written otherwise."""
    try:
        return bytes(_BYTE_OF[letter] for letter in piece)
    except KeyError:
        return None


def _joined(merge: str | list[str]) -> str:
    """What a merge makes; older files write the pair as one string."""
    return merge.replace(" ", "", 1) if isinstance(merge, str) else "".join(merge)


def _steps(step: Mapping[str, Any] | None, inside: str) -> Iterable[Mapping[str, Any]]:
    if step is None:
        return
    if step["type"] != "Sequence":
        yield step
        return
    for one in step[inside]:
        yield from _steps(one, inside)


def _keeps_all(step: Mapping[str, Any]) -> bool:
    """Whether a pre-tokenizer only cuts."""
    if step["type"] == "ByteLevel":
        return step["add_prefix_space"] is False  # else it writes a space that was not there
    if step["type"] in ("Split", "Punctuation"):
        return step["behavior"] in _KEEPS_ALL
    return bool(step["type"] == "Digits")
