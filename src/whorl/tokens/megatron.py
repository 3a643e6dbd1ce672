"""tokens/megatron: Megatron's indexed datasets: a `.bin` of ids one after another and an `.idx` that places them.

    .idx    MMIDIDX 00 00 | u64 version 1 | u8 code of the ids' type | u64 sequences | u64 entries of the last table
            i32 length of every sequence | i64 its first byte in .bin | i64 first sequence of every document, then their number

All little-endian. A document is one sequence or several (sentences); what reads the files for language models takes it whole.
Reading maps both files and copies neither; a file that contradicts itself is refused. Does not know tokenizers or framing.
Layout: https://github.com/NVIDIA/Megatron-LM/blob/main/megatron/core/datasets/indexed_dataset.py.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from whorl.core.errors import DataError

__all__ = ["IndexedDocuments", "bin_path", "idx_path", "write_index"]

_MAGIC: Final = b"MMIDIDX\x00\x00"
_HEADER: Final = struct.Struct("<9sQBQQ")
_TYPES: Final = {1: "u1", 2: "i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2"}  # 6 and 7 are floats, which no id is


def bin_path(prefix: Path) -> Path:
    """The file of ids behind a prefix; a prefix may hold dots."""
    return prefix.with_name(f"{prefix.name}.bin")


def idx_path(prefix: Path) -> Path:
    """The file of places behind a prefix."""
    return prefix.with_name(f"{prefix.name}.idx")


@dataclass(frozen=True)
class IndexedDocuments:
    """The documents of one pair of files: document i is `ids[offsets[i]:offsets[i + 1]]`."""

    ids: np.ndarray  # of the type of the file; a read-only view
    offsets: np.ndarray  # int64, one more than documents

    @classmethod
    def open(cls, prefix: Path) -> Self:
        """The files `<prefix>.bin` and `<prefix>.idx`. Raises DataError when one is missing, cut short or something else."""
        for path in (bin_path(prefix), idx_path(prefix)):
            if not path.is_file():
                raise DataError(f"{path}: missing; want {prefix.name}.bin and {prefix.name}.idx side by side")
        dtype, tables = _read_index(idx_path(prefix))
        lengths, pointers, first_sequence = tables
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
        _check(idx_path(prefix), (lengths, first_sequence), pointers_fit=np.array_equal(pointers, ends[:-1] * dtype.itemsize))
        size = bin_path(prefix).stat().st_size
        if size != ends[-1] * dtype.itemsize:
            raise DataError(f"{bin_path(prefix)}: {size} bytes, but its index lists {ends[-1]} ids of {dtype.itemsize} bytes")
        ids = np.asarray(np.memmap(bin_path(prefix), dtype, mode="r")) if size else np.empty(0, dtype)
        return cls(ids, ends[first_sequence])

    def __len__(self) -> int:
        return len(self.offsets) - 1


def write_index(path: Path, id_type: str, lengths: np.ndarray) -> None:
    """Write the index of documents of one sequence each, whose ids (`uint16` or `int32`) lie one after another from byte 0."""
    dtype = np.dtype(id_type).newbyteorder("<")
    codes = {np.dtype(name): code for code, name in _TYPES.items()}
    ends = np.cumsum(lengths, dtype=np.int64)
    with path.open("wb") as handle:
        handle.write(_HEADER.pack(_MAGIC, 1, codes[dtype], len(lengths), len(lengths) + 1))
        handle.write(lengths.astype("<i4").data)
        handle.write(((ends - lengths) * dtype.itemsize).astype("<i8").data)
        handle.write(np.arange(len(lengths) + 1, dtype="<i8").data)


def _read_index(path: Path) -> tuple[np.dtype[Any], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    with path.open("rb") as handle:
        head = handle.read(_HEADER.size)
    magic, version, code, num_sequences, num_entries = (
        (*_HEADER.unpack(head),) if len(head) == _HEADER.size else (b"", 0, 0, 0, 0)
    )
    if magic != _MAGIC or version != 1 or code not in _TYPES:
        raise DataError(
            f"{path}: begins with {head[:18]!r}; want Megatron's index (MMIDIDX, version 1) of integer ids; "
            "older formats (TNTIDX) are written anew by Megatron's tools/preprocess_data.py"
        )
    want, got = _HEADER.size + 12 * num_sequences + 8 * num_entries, path.stat().st_size
    if got == want + num_sequences and num_sequences:
        raise DataError(f"{path}: holds a mode for every sequence, as multimodal datasets do; want one of text alone")
    if got != want:
        raise DataError(
            f"{path}: {got} bytes, but {num_sequences} sequences and {num_entries} entries take {want}; copy it again"
        )
    data = np.memmap(path, np.uint8, mode="r", offset=0)[_HEADER.size :]
    lengths, rest = data[: 4 * num_sequences].view("<i4"), data[4 * num_sequences :]
    return np.dtype(_TYPES[code]), (lengths, rest[: 8 * num_sequences].view("<i8"), rest[8 * num_sequences :].view("<i8"))


def _check(path: Path, tables: tuple[np.ndarray, np.ndarray], *, pointers_fit: bool) -> None:
    lengths, first_sequence = tables
    is_whole = len(first_sequence) > 0 and first_sequence[0] == 0 and first_sequence[-1] == len(lengths)
    if not (is_whole and (np.diff(first_sequence) >= 0).all() and (lengths >= 0).all() and pointers_fit):
        raise DataError(
            f"{path}: its tables contradict each other (lengths, places or documents); want sequences one after another from "
            "byte 0, and documents that cover them all"
        )
