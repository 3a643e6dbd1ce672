"""tokens/tokenizer: text to ids and back, byte for byte, through one byte-level BPE vocabulary.

A tokenizer is four files that Hugging Face tools load unchanged. Text is only ever text here: a document that spells
`<|end|>` gets the ids of those seven characters; special ids are placed by the renderer and the shard writer alone. Does not
learn vocabularies (tokens/learn) and knows no chat markup (tokens/renderer).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import tokenizers

from whorl.core.errors import ArtifactError, DataError

__all__ = ["BOS", "END", "FILES", "PAD", "ROLE_TOKENS", "SPECIALS", "TEMPLATE_FILE", "VOCABULARY_FILE", "Ids", "Tokenizer"]

Ids = np.ndarray[tuple[int], np.dtype[np.int32]]

BOS: Final = "<|bos|>"  # opens a document
END: Final = "<|end|>"  # closes a document and every turn; the id on which generation stops
PAD: Final = "<|pad|>"  # fills; never a stop id, so that padding is told from an end by id as well as by length
ROLE_TOKENS: Final[Mapping[str, str]] = {role: f"<|{role}|>" for role in ("system", "user", "assistant", "tool")}
SPECIALS: Final = (BOS, END, PAD, *ROLE_TOKENS.values())  # in a learnt vocabulary the id is the place in this tuple

VOCABULARY_FILE: Final = "tokenizer.json"
TEMPLATE_FILE: Final = "chat_template.jinja"
FILES: Final = (VOCABULARY_FILE, "tokenizer_config.json", "special_tokens_map.json", TEMPLATE_FILE)

_TEXTS_AT_ONCE = 1024  # bounds the memory of Encoding objects, about 100 bytes a token, while a batch is encoded


class Tokenizer:
    """A vocabulary in use. Immutable; equal fingerprints give equal ids."""

    def __init__(self, files: Mapping[str, str], where: str = "tokenizer") -> None:
        """From the contents of the four files, by name. Raises ArtifactError naming `where`."""
        self.files: Final[Mapping[str, str]] = dict(files)
        self.fingerprint: Final = hashlib.sha256(files[VOCABULARY_FILE].encode()).hexdigest()
        self._backend = _backend(files[VOCABULARY_FILE], where)
        self._special_ids = _special_ids(self._backend, where)

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """The tokenizer kept in a tokenizer artifact or in a checkpoint. Raises ArtifactError when a file is missing."""
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise ArtifactError(
                f"{folder}: no {', '.join(missing)}; want a tokenizer folder holding {', '.join(FILES)} (made by tokens.learn)"
            )
        return cls({name: (folder / name).read_text(encoding="utf-8") for name in FILES}, str(folder))

    def save(self, folder: Path) -> None:
        """Write the four files as they were loaded."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.files.items():
            (folder / name).write_text(text, encoding="utf-8")

    @property
    def size(self) -> int:
        """Number of ids, special ones included; every id is below it."""
        return int(self._backend.get_vocab_size(with_added_tokens=True))

    @property
    def bos(self) -> int:
        """The id that opens a document."""
        return self._special_ids[BOS]

    @property
    def end(self) -> int:
        """The id that closes a document and every turn."""
        return self._special_ids[END]

    @property
    def pad(self) -> int:
        """The id that fills."""
        return self._special_ids[PAD]

    def role(self, name: str) -> int:
        """The id that opens a turn of this role. Raises KeyError for an unknown one."""
        return self._special_ids[ROLE_TOKENS[name]]

    def encode(self, text: str) -> list[int]:
        """Ids of a text, none of them special, whatever the text spells. Raises DataError for a lone surrogate."""
        try:
            ids: list[int] = self._backend.encode(text, add_special_tokens=False).ids
        except TypeError as error:
            raise _not_unicode([text]) from error
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """The same for many texts on all cores; one int32 array each."""
        return list(self._encoded(texts))

    def _encoded(self, texts: Sequence[str]) -> Iterator[Ids]:
        pending = iter(texts)
        while chunk := list(islice(pending, _TEXTS_AT_ONCE)):
            try:
                encodings = self._backend.encode_batch_fast(chunk, add_special_tokens=False)
            except TypeError as error:
                raise _not_unicode(chunk) from error
            for encoding in encodings:
                yield np.array(encoding.ids, dtype=np.int32)

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """The text of ids; `decode(encode(text)) == text`. Special ids come out spelled; bytes that are no UTF-8 as U+FFFD.

        Raises DataError for an id outside the vocabulary, which the library would skip without a word.
        """
        array = np.asarray(ids, dtype=np.int64)
        wrong = array[(array < 0) | (array >= self.size)]
        if wrong.size:
            raise DataError(f"id {wrong[0]} is outside the vocabulary of {self.size}; was it made by another tokenizer?")
        return str(self._backend.decode(array.tolist(), skip_special_tokens=False))


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


def _special_ids(backend: tokenizers.Tokenizer, where: str) -> dict[str, int]:
    special = {token.content: number for number, token in backend.get_added_tokens_decoder().items() if token.special}
    missing = [token for token in SPECIALS if token not in special]
    if missing:
        raise ArtifactError(f"{where}: {VOCABULARY_FILE} has no special token {' '.join(missing)}; want {' '.join(SPECIALS)}")
    return {token: special[token] for token in SPECIALS}


def _not_unicode(texts: Sequence[object]) -> DataError:
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            return DataError(f"text {number} of {len(texts)}: want a string, got {type(text).__name__}")
        for place, character in enumerate(text):
            if "\ud800" <= character <= "\udfff":
                return DataError(
                    f"text {number} of {len(texts)}: character {place} is the lone surrogate U+{ord(character):04X}, "
                    "which no UTF-8 text holds; decode the source again with errors='replace'"
                )
    return DataError(f"the tokenizer refused one of {len(texts)} texts")
