import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.core.errors import DataError
from whorl.tokens.megatron import IndexedDocuments, bin_path, idx_path, write_index

sys.path.append(str(Path(__file__).parent))

from megatron_oracle import read_documents, write_documents

GOLDEN = Path(__file__).parents[1] / "golden" / "tokens" / "megatron.json"
PEER = Path(__file__).parents[2] / ".venv-bench-megatron" / "bin" / "python"

DOCUMENTS = [[[7, 8, 9]], [[1]], [[300, 2], [65499], [4, 5, 6]], [[0, 0]]]  # the third has three sequences
WHOLE = [[[one for sequence in document for one in sequence]] for document in DOCUMENTS]  # one sequence each, as ours are
CODES = {"uint16": 8, "int32": 4}

ids = st.lists(st.integers(0, 65499), max_size=6)
documents = st.lists(st.lists(ids, min_size=1, max_size=3), min_size=1, max_size=6)


def opened(prefix):
    found = IndexedDocuments.open(prefix)
    return [found.ids[left:right].tolist() for left, right in pairwise(found.offsets)]


def exported(prefix, each, id_type):
    """Documents of one sequence each, written by ours."""
    np.array([one for document in each for one in document], dtype=id_type).tofile(bin_path(prefix))
    write_index(idx_path(prefix), id_type, np.array([len(document) for document in each]))
    return prefix


@given(documents=documents, code=st.sampled_from([3, 4, 5, 8]))
def test_documents_are_read_as_an_independent_writer_wrote_them(tmp_path_factory, documents, code):
    prefix = tmp_path_factory.mktemp("megatron") / "some.data"
    write_documents(prefix, [[[n % 32768 for n in s] for s in d] for d in documents] if code == 3 else documents, code)
    assert opened(prefix) == [[n % 32768 if code == 3 else n for s in document for n in s] for document in documents]


@given(documents=st.lists(ids, max_size=6), id_type=st.sampled_from(list(CODES)))
def test_an_independent_reader_reads_what_was_written(tmp_path_factory, documents, id_type):
    prefix = exported(tmp_path_factory.mktemp("megatron") / "p", documents, id_type)
    assert read_documents(prefix) == (CODES[id_type], [[document] for document in documents])
    assert opened(prefix) == documents


@pytest.mark.parametrize("id_type", CODES)
def test_files_are_byte_equal_to_those_recorded_from_megatron(tmp_path, id_type):
    recorded = json.loads(GOLDEN.read_text())["files"][id_type]
    prefix = exported(tmp_path / "ours", [document[0] for document in WHOLE], id_type)
    assert bin_path(prefix).read_bytes().hex() == recorded["whole.bin"]
    assert idx_path(prefix).read_bytes().hex() == recorded["whole.idx"]
    for suffix in ("bin", "idx"):
        (tmp_path / f"theirs.{suffix}").write_bytes(bytes.fromhex(recorded[f"pieces.{suffix}"]))
    assert opened(tmp_path / "theirs") == [document[0] for document in WHOLE]


def asked(question):
    command = [str(PEER), str(Path(__file__).with_name("megatron_oracle.py"))]
    done = subprocess.run(command, input=json.dumps(question), check=True, capture_output=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.parity
def test_megatron_reads_ours_and_writes_the_same_bytes(tmp_path):
    """Writes what the peer says when nothing is recorded; to record anew, delete tests/golden/tokens/megatron.json."""
    assert PEER.is_file(), f"no peer: python3.11 -m venv {PEER.parents[1]}, then pip install torch==2.13.0 megatron-core in it"
    files = {}
    for id_type in CODES:
        prefix = exported(tmp_path / f"ours-{id_type}", [document[0] for document in WHOLE], id_type)
        said = asked({"read": str(prefix)})
        assert (said["dtype"], said["documents"]) == (id_type, WHOLE)
        files[id_type] = {}
        for name, written in (("whole", WHOLE), ("pieces", DOCUMENTS)):
            asked({"write": str(tmp_path / name), "dtype": id_type, "documents": written})
            files[id_type] |= {f"{name}.{end}": (tmp_path / f"{name}.{end}").read_bytes().hex() for end in ("bin", "idx")}
    record = {"megatron-core": said["version"], "files": files}
    if not GOLDEN.is_file():
        GOLDEN.write_text(json.dumps(record, indent=1) + "\n")
    assert json.loads(GOLDEN.read_text())["files"] == files


def test_a_missing_file_is_named(tmp_path):
    write_documents(tmp_path / "data", DOCUMENTS)
    (tmp_path / "data.bin").unlink()
    with pytest.raises(DataError, match=r"data\.bin: missing; want data\.bin and data\.idx side by side"):
        IndexedDocuments.open(tmp_path / "data")


def changed(at, new):
    return lambda data: data[:at] + new + data[at + len(new) :]


# Nine bytes of magic, version, type, counts; six sequences from byte 34, pointers from 58, documents from 106.
@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (changed(0, b"TNTIDX\x00\x00"), "want Megatron's index"),
        (changed(9, b"\x02"), "version 1"),
        (changed(17, b"\x06"), "of integer ids"),
        (lambda data: data[:20], "want Megatron's index"),
        (lambda data: data[:-3], "bytes, but 6 sequences and 5 entries take"),
        (lambda data: data + bytes(6), "holds a mode for every sequence"),
        (changed(58, b"\x02"), "its tables contradict each other"),
        (changed(106, b"\x01"), "its tables contradict each other"),
        (changed(138, b"\x05"), "its tables contradict each other"),
        (changed(34, b"\x04"), "its tables contradict each other"),
    ],
)
def test_an_index_that_is_damaged_is_refused(tmp_path, damage, complaint):
    write_documents(tmp_path / "data", DOCUMENTS)
    index = tmp_path / "data.idx"
    index.write_bytes(damage(index.read_bytes()))
    with pytest.raises(DataError, match=complaint):
        IndexedDocuments.open(tmp_path / "data")


def test_ids_cut_short_are_refused(tmp_path):
    write_documents(tmp_path / "data", DOCUMENTS)
    (tmp_path / "data.bin").write_bytes((tmp_path / "data.bin").read_bytes()[:-2])
    with pytest.raises(DataError, match=r"data\.bin: 22 bytes, but its index lists 12 ids of 2 bytes"):
        IndexedDocuments.open(tmp_path / "data")


@given(data=st.binary(max_size=120), tail=st.binary(max_size=40))
def test_any_bytes_are_read_or_refused_and_never_crash(tmp_path_factory, data, tail):
    prefix = tmp_path_factory.mktemp("megatron") / "fuzz"
    for head in (b"", b"MMIDIDX\x00\x00\x01" + bytes(7) + b"\x08"):
        idx_path(prefix).write_bytes(head + data)
        bin_path(prefix).write_bytes(tail)
        try:
            found = IndexedDocuments.open(prefix)
        except DataError:
            continue
        assert found.offsets[-1] == len(found.ids)
