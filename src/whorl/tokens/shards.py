"""tokens/shards: encoded documents on disk, memory-mapped, with the place of every document.

    <part>/ids.bin         ids of all documents one after another, each `<|bos|>` ... `<|end|>`; little-endian, unsigned
    <part>/docs.parquet    id, start, num_tokens, num_bytes (of UTF-8 text); width of an id and tokenizer in its metadata
    tokenizer/             the tokenizer the ids belong to

A part is one file however many input shards it came from. Reading copies nothing.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from whorl.core.artifact import file_sha256
from whorl.core.errors import ArtifactError, DataError
from whorl.core.shards import read_table, write_table
from whorl.tokens.tokenizer import VOCABULARY_FILE, EncodedColumn, Tokenizer

__all__ = ["DOCS_FILE", "IDS_FILE", "TOKENIZER_FOLDER", "ShardWriter", "TokenShards", "join_shards", "storage"]

IDS_FILE: Final = "ids.bin"
DOCS_FILE: Final = "docs.parquet"
TOKENIZER_FOLDER: Final = "tokenizer"

_COUNTED_AT_ONCE: Final = 1 << 22  # ids; counting widens them to 8 bytes each
_STORAGE: Final[Mapping[str, np.dtype[Any]]] = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}
_COLUMNS: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("num_tokens", pa.int32(), nullable=False),
        pa.field("num_bytes", pa.int64(), nullable=False),
    ]
)


def storage(size: int) -> str:
    """Name of the narrowest id type for a vocabulary of this size: `uint16` up to 65536 ids, else `uint32`."""
    return "uint16" if size <= 1 << 16 else "uint32"


def _docs_table(columns: Mapping[str, object], id_type: str, fingerprint: str) -> pa.Table:
    return pa.table(dict(columns), schema=_COLUMNS.with_metadata({"ids": id_type, "tokenizer": fingerprint}))


class ShardWriter:
    """Appends documents to one part; use it in a `with`. Memory holds the table of documents, not their ids."""

    def __init__(self, folder: Path, tokenizer: Tokenizer) -> None:
        """Starts `folder` from nothing: what an interrupted writer left there is overwritten."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._tokenizer = tokenizer
        self._id_type = storage(tokenizer.size)
        self._tables: list[pa.Table] = []
        self._handle = (folder / IDS_FILE).open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close the ids, and write the table if nothing failed: a part without a table cannot be opened."""
        self._handle.close()
        if kind is None:
            _write_docs(self._folder, self._tables, self._tokenizer)

    def add(self, names: pa.Array | Sequence[str], texts: pa.Array | Sequence[str]) -> None:
        """Encode and append documents, as columns of strings or a few by themselves, in order.

        An empty text is a document of two tokens. Memory: about 8 bytes a token of what is added at once. Raises DataError for
        what is no text.
        """
        texts = _string_column(texts)
        num_bytes = pc.binary_length(texts).to_numpy(zero_copy_only=False)
        self.add_encoded(_string_column(names), self._tokenizer.encode_column(texts), num_bytes)

    def add_encoded(self, names: pa.Array, encoded: EncodedColumn, num_bytes: np.ndarray) -> None:
        """Append documents of ids, without `<|bos|>` and `<|end|>`, that spell `num_bytes` bytes of UTF-8 text each.

        Raises DataError for an id outside the vocabulary.
        """
        ids, num_docs = encoded.ids, len(names)
        if len(ids) and int(ids.max()) >= self._tokenizer.size:
            raise DataError(
                f"id {int(ids.max())} is outside the vocabulary of {self._tokenizer.size}; was it made by another tokenizer?"
            )
        framed = np.empty(len(ids) + 2 * num_docs, dtype=_STORAGE[self._id_type])
        opens = encoded.offsets[:-1] + 2 * np.arange(num_docs)
        closes = encoded.offsets[1:] + 2 * np.arange(num_docs) + 1
        is_text = np.ones(len(framed), dtype=bool)
        is_text[opens] = is_text[closes] = False
        framed[opens], framed[closes], framed[is_text] = self._tokenizer.bos, self._tokenizer.end, ids
        self._handle.write(framed.data)
        num_tokens = (closes - opens + 1).astype(np.int32)
        columns = {"id": names, "start": _starts(num_tokens), "num_tokens": num_tokens, "num_bytes": num_bytes}
        self._tables.append(pa.table(columns, schema=_COLUMNS))


def _string_column(values: pa.Array | Sequence[str]) -> pa.Array:
    """A column of strings. Raises DataError naming the text that no UTF-8 can hold."""
    if isinstance(values, pa.Array):
        return values
    for number, value in enumerate(values):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise DataError(f"text {number} of {len(values)} holds a lone surrogate, which no UTF-8 text does; decode it again")
    return pa.array(values, pa.large_string())


def _starts(num_tokens: np.ndarray) -> np.ndarray:
    starts: np.ndarray = np.cumsum(num_tokens, dtype=np.int64) - num_tokens
    return starts


def join_shards(pieces: Sequence[Path], folder: Path, tokenizer: Tokenizer) -> None:
    """Write one part from the same part of several folders, in their order. Byte-equal to writing them as one."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / IDS_FILE).open("wb") as target:
        for piece in pieces:
            with (piece / IDS_FILE).open("rb") as source:
                shutil.copyfileobj(source, target, length=1 << 20)
    _write_docs(folder, [read_table(piece / DOCS_FILE) for piece in pieces], tokenizer)


def _write_docs(folder: Path, tables: Sequence[pa.Table], tokenizer: Tokenizer) -> None:
    """One table of documents from several, whose starts are counted from the first; columns stay columns throughout."""
    plain = [table.replace_schema_metadata(None) for table in tables]
    docs = pa.concat_tables([_COLUMNS.empty_table(), *plain])
    columns = {name: docs[name] for name in _COLUMNS.names} | {"start": _starts(docs["num_tokens"].to_numpy())}
    write_table(_docs_table(columns, storage(tokenizer.size), tokenizer.fingerprint), folder / DOCS_FILE)


class TokenShards:
    """One part of a tokens artifact, open for reading. Arrays it gives are read-only views of the files."""

    def __init__(self, ids: np.ndarray, docs: pa.Table) -> None:
        """Use `open`. Memory: about 32 bytes a document, and its id."""
        self.ids: Final = ids  # of all documents, one after another
        self.starts: Final[np.ndarray] = docs["start"].to_numpy()  # of each document in `ids`
        self.lengths: Final[np.ndarray] = docs["num_tokens"].to_numpy().astype(np.int64)  # tokens of each document
        # Ids of more than 2 GiB in all do not fit the offsets of a plain string column.
        self.names: Final[pa.Array] = docs["id"].cast(pa.large_string()).combine_chunks()
        self._num_bytes = docs["num_bytes"].to_numpy()

    @classmethod
    def open(cls, folder: Path, part: str) -> "TokenShards":
        """The documents of one part of a tokens artifact.

        Raises ArtifactError when a file is missing or the files contradict each other.
        """
        ids_path, docs_path = folder / part / IDS_FILE, folder / part / DOCS_FILE
        for path in (ids_path, docs_path):
            if not path.is_file():
                raise ArtifactError(f"{path}: missing; want a tokens artifact with the part '{part}' (made by tokens.encode)")
        docs = read_table(docs_path)
        dtype = _checked_storage(docs, docs_path, folder)
        _check_extent(docs, docs_path, ids_path, dtype)
        # An empty file cannot be mapped.
        ids = np.asarray(np.memmap(ids_path, dtype, mode="r")) if ids_path.stat().st_size else np.empty(0, dtype)
        return cls(ids, docs)

    @property
    def num_docs(self) -> int:
        """Documents in this part."""
        return len(self.lengths)

    @property
    def num_tokens(self) -> int:
        """Tokens in this part, the two special ones of each document included."""
        return len(self.ids)

    @property
    def num_bytes(self) -> int:
        """Bytes of UTF-8 text in this part."""
        return int(self._num_bytes.sum())

    def occurrences(self, size: int) -> np.ndarray:
        """How often each of `size` ids occurs in this part, int64; reads it once, a piece at a time."""
        counts = np.zeros(size, dtype=np.int64)
        for start in range(0, len(self.ids), _COUNTED_AT_ONCE):
            counts += np.bincount(self.ids[start : start + _COUNTED_AT_ONCE], minlength=size)
        return counts

    def doc(self, index: int) -> np.ndarray:
        """Ids of one document from `<|bos|>` to `<|end|>`, in the unsigned type of the file: widen before arithmetic."""
        start = int(self.starts[index])
        return self.ids[start : start + int(self.lengths[index])]

    def doc_id(self, index: int) -> str:
        """The id the document has in the corpus."""
        return str(self.names[index].as_py())

    def numbers(self, doc_ids: pa.Array) -> np.ndarray:
        """The documents that have one of these ids, ascending; ids that none has are passed over. One compiled pass."""
        return np.flatnonzero(pc.is_in(self.names, doc_ids.cast(pa.large_string())).to_numpy(zero_copy_only=False))

    def doc_bytes(self, index: int) -> int:
        """Bytes of the document's UTF-8 text."""
        return int(self._num_bytes[index])


def _checked_storage(docs: pa.Table, path: Path, folder: Path) -> np.dtype[Any]:
    """The type of the ids, after making sure they belong to the tokenizer beside them."""
    metadata = {key.decode(): value.decode() for key, value in (docs.schema.metadata or {}).items()}
    id_type, made_with = metadata.get("ids", ""), metadata.get("tokenizer", "")
    if id_type not in _STORAGE or docs.schema.names != _COLUMNS.names:
        raise ArtifactError(
            f"{path}: ids of type '{id_type}', columns {docs.schema.names}; want {' or '.join(_STORAGE)} and {_COLUMNS.names}; "
            "encode the documents again with tokens.encode"
        )
    vocabulary = folder / TOKENIZER_FOLDER / VOCABULARY_FILE
    found = file_sha256(vocabulary) if vocabulary.is_file() else "none"
    if found != made_with:
        raise ArtifactError(
            f"{vocabulary}: fingerprint {found[:12]}, but {path.parent.name} was encoded with {made_with[:12]}; "
            "the folder was altered: encode the documents again with tokens.encode"
        )
    return _STORAGE[id_type]


def _check_extent(docs: pa.Table, docs_path: Path, ids_path: Path, dtype: np.dtype[Any]) -> None:
    num_tokens = docs["num_tokens"].to_numpy()
    want, got = int(num_tokens.sum()) * dtype.itemsize, ids_path.stat().st_size
    if want != got:
        raise ArtifactError(
            f"{ids_path}: {got} bytes, but {docs_path.name} lists {len(num_tokens)} documents of {want} bytes in all; "
            "the file was cut short or altered: run `whorl verify`, then encode again"
        )
    if not np.array_equal(docs["start"].to_numpy(), _starts(num_tokens)):
        raise ArtifactError(f"{docs_path}: starts do not follow from the lengths; run `whorl verify`, then encode again")
