"""tokens/tokenizer: text to ids and back through one vocabulary, learnt here or brought from elsewhere.

A tokenizer is four files that Hugging Face tools load unchanged. Text is only ever text here: a document that spells
`<|end|>` gets the ids of those seven characters; special ids are placed by the renderer and the shard writer alone. Which
tokens open and close documents and turns is said by tokenizer_config.json. Does not learn vocabularies (tokens/learn), fetch
foreign ones (tokens/foreign) or know chat markup (tokens/renderer).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import tokenizers

from whorl.core.errors import ArtifactError, DataError
from whorl.tokens.column import EncodedColumn, checked, encode_by_reference, text_column
from whorl.tokens.fast import Encoder, find_encoder
from whorl.tokens.vocabulary import Vocabulary

__all__ = [
    "BOS",
    "CONFIG_FILE",
    "END",
    "FILES",
    "MASK",
    "PAD",
    "ROLE_TOKENS",
    "SPECIALS",
    "TEMPLATE_FILE",
    "VOCABULARY_FILE",
    "EncodedColumn",
    "Ids",
    "Tokenizer",
]

Ids = np.ndarray[tuple[int], np.dtype[np.int32]]

BOS: Final = "<|bos|>"  # opens a document
END: Final = "<|end|>"  # closes a document and every turn; the id on which generation stops
PAD: Final = "<|pad|>"  # fills; never a stop id, so that padding is told from an end by id as well as by length
MASK: Final = "<|mask|>"  # stands for a hidden token; only vocabularies made for models that fill gaps have one
ROLE_TOKENS: Final[Mapping[str, str]] = {role: f"<|{role}|>" for role in ("system", "user", "assistant", "tool")}
SPECIALS: Final = (BOS, END, PAD, *ROLE_TOKENS.values())  # in a learnt vocabulary the id is the place in this tuple

VOCABULARY_FILE: Final = "tokenizer.json"
CONFIG_FILE: Final = "tokenizer_config.json"
TEMPLATE_FILE: Final = "chat_template.jinja"
FILES: Final = (VOCABULARY_FILE, CONFIG_FILE, "special_tokens_map.json", TEMPLATE_FILE)

_FEW_BYTES: Final = 1 << 16  # below it the reference is done before a faster encoder is opened


class Tokenizer:
    """A vocabulary in use. Immutable; equal fingerprints give equal ids, whichever library computes them."""

    def __init__(self, files: Mapping[str, str], where: str = "tokenizer") -> None:
        """From the contents of the four files, by name. Raises ArtifactError naming `where`."""
        self.files: Final[Mapping[str, str]] = dict(files)
        self.fingerprint: Final = hashlib.sha256(files[VOCABULARY_FILE].encode()).hexdigest()
        self._vocabulary = Vocabulary.parse(files[VOCABULARY_FILE], f"{where}: {VOCABULARY_FILE}")
        self._backend = _backend(files[VOCABULARY_FILE], where)
        self._frame, self._roles, self._mask = _special_tokens(files[CONFIG_FILE], where)
        hides = [] if self._mask is None else [self._mask]
        _check_special(self._vocabulary, self._backend, {*self._frame.values(), *self._roles.values(), *hides}, where)

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """The tokenizer kept in a tokenizer artifact or in a checkpoint. Raises ArtifactError when a file is missing."""
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise ArtifactError(
                f"{folder}: no {', '.join(missing)}; want a tokenizer folder holding {', '.join(FILES)} (made by tokens.learn, "
                "or by tokens.load from a vocabulary of somebody else)"
            )
        return cls({name: (folder / name).read_text(encoding="utf-8") for name in FILES}, str(folder))

    def save(self, folder: Path) -> None:
        """Write the four files as they were loaded."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.files.items():
            (folder / name).write_text(text, encoding="utf-8")

    @property
    def size(self) -> int:
        """Number of ids, special ones included; every id is below it. In a vocabulary from elsewhere some may mean nothing."""
        return self._vocabulary.size

    @property
    def bos(self) -> int:
        """The id that opens a document."""
        return self._vocabulary.special[self._frame["bos"]]

    @property
    def end(self) -> int:
        """The id that closes a document and every turn."""
        return self._vocabulary.special[self._frame["end"]]

    @property
    def pad(self) -> int:
        """The id that fills."""
        return self._vocabulary.special[self._frame["pad"]]

    @property
    def mask(self) -> int | None:
        """The id that stands for a hidden token, or None where the vocabulary has none."""
        return None if self._mask is None else self._vocabulary.special[self._mask]

    @cached_property
    def special_ids(self) -> np.ndarray:
        """Ids that no text has, ascending, int64."""
        return np.array(sorted(self._vocabulary.special.values()), dtype=np.int64)

    @cached_property
    def plain_ids(self) -> np.ndarray:
        """Ids that text may have, ascending, int64."""
        return np.setdiff1d(self._known, self.special_ids, assume_unique=True)

    @property
    def frame(self) -> Mapping[str, str]:
        """The tokens called `bos`, `end` and `pad`."""
        return self._frame

    @property
    def roles(self) -> Mapping[str, str]:
        """Role -> the token that opens its turns; empty in a vocabulary that was brought in without a chat markup."""
        return self._roles

    def role(self, name: str) -> int:
        """The id that opens a turn of this role. Raises KeyError for an unknown one."""
        return self._vocabulary.special[self._roles[name]]

    @property
    def lossless(self) -> bool:
        """Whether `decode(encode(text)) == text` for every text. True of all that tokens/learn makes.

        A vocabulary from elsewhere may lower case, strip accents, join spaces (BERT), or read U+2581 as a space (Llama 2):
        what it loses is lost before the first id, so bits per byte of such a model are not those of the text.
        """
        return self._vocabulary.is_lossless

    @property
    def encoder(self) -> str:
        """The library that encodes columns: `gigatoken` or `tokenizers`. Never changes an id."""
        return "gigatoken" if self._encoder.fast else "tokenizers"

    @property
    def encoder_reason(self) -> str:
        """Why not the faster one; empty when it is."""
        return self._encoder.reason

    def encode(self, text: str) -> list[int]:
        """Ids of a text, none of them special, whatever the text spells. Raises DataError for a lone surrogate.

        Only a token for what a vocabulary from elsewhere cannot write (`<unk>`) may be both special and in a text.
        """
        ids: list[int] = encode_by_reference(self._reader, [text]).ids.tolist()
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """The same for many texts on all cores; one int32 array each."""
        ids, offsets = self.encode_column(text_column(texts))
        return np.split(ids.astype(np.int32), offsets[1:-1]) if len(texts) else []

    def encode_column(self, texts: pa.Array) -> EncodedColumn:
        """The same for a column of strings; where it can, without making an object of any text.

        Raises DataError for a null and for bytes that are no UTF-8.
        """
        texts = checked(texts)
        if texts.nbytes >= _FEW_BYTES and self._encoder.fast:
            return self._encoder.fast.encode(texts)
        return encode_by_reference(self._reader, texts.to_pylist())

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """The text of ids; `decode(encode(text)) == text` where `lossless`. Special ids come out spelled; bytes that are no
        UTF-8 as U+FFFD.

        Raises DataError for an id outside the vocabulary, which the library would skip without a word.
        """
        array = np.asarray(ids, dtype=np.int64)
        wrong = array[(array < 0) | (array >= self.size)]
        if not wrong.size and self._is_sparse:
            wrong = array[~np.isin(array, self._known)]
        if wrong.size:
            raise DataError(f"id {wrong[0]} is outside the vocabulary of {self.size}; was it made by another tokenizer?")
        return str(self._backend.decode(array.tolist(), skip_special_tokens=False))

    @cached_property
    def _reader(self) -> tokenizers.Tokenizer:
        """Reads text; `_backend` also knows how special tokens are spelled."""
        if self._vocabulary.is_read_alike:
            return self._backend
        return _backend(json.dumps(self._vocabulary.text_form()), "text form")

    @cached_property
    def _encoder(self) -> Encoder:
        return find_encoder(self._vocabulary, self._reader)

    @property
    def _is_sparse(self) -> bool:
        return len(self._vocabulary.ids) < self.size

    @cached_property
    def _known(self) -> np.ndarray:
        return np.array(sorted(self._vocabulary.ids), dtype=np.int64)


def _backend(vocabulary: str, where: str) -> tokenizers.Tokenizer:
    try:
        backend = tokenizers.Tokenizer.from_str(vocabulary)
    except Exception as error:  # the library raises nothing narrower
        raise ArtifactError(
            f"{where}: {VOCABULARY_FILE} is not a tokenizer ({error}); copy it again from its source"
        ) from error
    # Without this the library turns a spelled-out special token into its id: a page could then end its own document.
    backend.encode_special_tokens = True
    backend.no_truncation()  # files from elsewhere may ask for either; both would change documents silently
    backend.no_padding()
    return backend


class _Called(NamedTuple):
    """Special tokens by what they are for."""

    frame: dict[str, str]
    roles: dict[str, str]
    mask: str | None


def _special_tokens(config: str, where: str) -> _Called:
    """What tokenizer_config.json calls the tokens that frame documents, open turns, and hide a token."""
    try:
        said: Any = json.loads(config)
    except ValueError as error:
        raise ArtifactError(f"{where}: {CONFIG_FILE} is not JSON ({error}); copy it again from its source") from error
    if not isinstance(said, dict):
        raise ArtifactError(f"{where}: {CONFIG_FILE} is no JSON object; copy it again from its source")
    frame = {name: said.get(f"{key}_token") for name, key in (("bos", "bos"), ("end", "eos"), ("pad", "pad"))}
    unnamed = [name for name, token in frame.items() if not isinstance(token, str)]
    if unnamed:
        raise ArtifactError(f"{where}: {CONFIG_FILE} names no token for {', '.join(unnamed)}; bring it in with tokens.load")
    listed = said.get("additional_special_tokens", [])
    roles = said.get("role_tokens", {role: token for role, token in ROLE_TOKENS.items() if token in listed})
    mask = said.get("mask_token")
    return _Called({name: str(token) for name, token in frame.items()}, roles, mask if isinstance(mask, str) else None)


def _check_special(vocabulary: Vocabulary, backend: tokenizers.Tokenizer, wanted: set[str], where: str) -> None:
    missing = sorted(wanted - vocabulary.special.keys())
    if missing:
        raise ArtifactError(f"{where}: {VOCABULARY_FILE} has no special token {' '.join(missing)}, which {CONFIG_FILE} names")
    spelled = sorted(wanted & vocabulary.spelled_by_text)
    if spelled:
        raise ArtifactError(
            f"{where}: {' '.join(spelled)} is also an ordinary piece of text, so a document could end itself; "
            "name other tokens with tokens.load"
        )
    for token in vocabulary.added:
        if backend.token_to_id(token["content"]) != token["id"]:
            raise ArtifactError(
                f"{where}: {VOCABULARY_FILE} says that {token['content']} is id {token['id']}, but the library reads it as "
                f"{backend.token_to_id(token['content'])}; the file contradicts itself"
            )
