"""Megatron's indexed datasets, twice: an independent minimal reader and writer, and a script that asks Megatron itself.

Run as a program inside an environment that has megatron-core, it answers questions of test_megatron over JSON.
"""

import json
import struct
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np

NAMES = {1: np.uint8, 2: np.int8, 3: np.int16, 4: np.int32, 5: np.int64, 6: np.float64, 7: np.float32, 8: np.uint16}


def read_documents(prefix):
    """Documents as lists of sequences of ids, one value at a time, as the layout is published."""
    index, data = Path(f"{prefix}.idx").read_bytes(), Path(f"{prefix}.bin").read_bytes()
    assert index[:9] == b"MMIDIDX\x00\x00"
    assert struct.unpack_from("<Q", index, 9) == (1,)
    dtype = np.dtype(NAMES[index[17]])
    (count,), (entries,) = struct.unpack_from("<Q", index, 18), struct.unpack_from("<Q", index, 26)
    lengths = struct.unpack_from(f"<{count}i", index, 34)
    pointers = struct.unpack_from(f"<{count}q", index, 34 + 4 * count)
    bounds = struct.unpack_from(f"<{entries}q", index, 34 + 12 * count)
    assert len(index) == 34 + 12 * count + 8 * entries
    sequences = [np.frombuffer(data, dtype, n, at).tolist() for n, at in zip(lengths, pointers, strict=True)]
    return index[17], [sequences[left:right] for left, right in pairwise(bounds)]


def write_documents(prefix, documents, code=8):
    """The same way back: documents are lists of sequences of ids."""
    dtype = np.dtype(NAMES[code])
    sequences = [sequence for document in documents for sequence in document]
    data = [np.array(sequence, dtype).tobytes() for sequence in sequences]
    pointers = [sum(map(len, data[:n])) for n in range(len(data))]
    bounds = [sum(map(len, documents[:n])) for n in range(len(documents) + 1)]
    index = b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, code, len(sequences), len(bounds))
    index += struct.pack(f"<{len(data)}i", *map(len, sequences)) + struct.pack(f"<{len(data)}q", *pointers)
    Path(f"{prefix}.idx").write_bytes(index + struct.pack(f"<{len(bounds)}q", *bounds))
    Path(f"{prefix}.bin").write_bytes(b"".join(data))


def answer(question):
    """What Megatron's own reader and builder make of a question."""
    import megatron.core  # noqa: PLC0415 - only inside the peer's environment
    import torch  # noqa: PLC0415
    from megatron.core.datasets.indexed_dataset import IndexedDataset, IndexedDatasetBuilder  # noqa: PLC0415

    if "write" in question:
        builder = IndexedDatasetBuilder(f"{question['write']}.bin", dtype=getattr(np, question["dtype"]))
        for document in question["documents"]:
            for sequence in document:
                builder.add_item(torch.tensor(sequence, dtype=torch.int64))
            builder.end_document()
        builder.finalize(f"{question['write']}.idx")
        return {"version": megatron.core.__version__}
    dataset = IndexedDataset(question["read"])
    bounds = dataset.document_indices.tolist()
    documents = [[dataset[n].tolist() for n in range(left, right)] for left, right in pairwise(bounds)]
    return {"version": megatron.core.__version__, "dtype": dataset.index.dtype.__name__, "documents": documents}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(answer(json.loads(sys.stdin.read()))))
