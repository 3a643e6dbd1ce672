"""corpus/known: what a finished corpus holds, as sorted signatures that a new one can be compared with.

Signatures come from beside the documents where they were made the same way, else from the texts, shard by shard and cached. The
table and one sorted index per band lie in the cache as memory-mapped arrays: comparing needs a binary search per document and
band, whatever the corpus weighs; making the index holds one band at a time, 40 bytes per document. Does not decide which copy
stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from whorl.core.artifact import Artifact
from whorl.core.canonical import digest, encode
from whorl.core.shards import ShardCache, read_table, shard_path, write_table
from whorl.core.stage import Job
from whorl.corpus.clean import signature_column, signature_matrix
from whorl.corpus.dedup import Dedup
from whorl.corpus.passing import documents_in
from whorl.corpus.shard_map import mapped
from whorl.corpus.slices import text_slices
from whorl.text.batch import TextBatch
from whorl.text.lsh import KnownBand, KnownTable, sorted_bands

__all__ = ["KnownCorpus", "index_corpus", "known_names", "write_signatures"]

_NAME_DIGITS = 12
_SIGNATURES = "signatures"


@dataclass(frozen=True)
class KnownCorpus:
    """A finished corpus: where its documents are, and a table of signatures per deduplication."""

    target: str  # what the recipe calls it
    name: str  # what ledgers call it: twelve digits of the hash of its documents, the same wherever and under any name
    paths: tuple[Path, ...]
    first: npt.NDArray[np.int64]  # number of each shard's first document (one more than shards)
    tables: tuple[KnownTable, ...]


@dataclass(frozen=True)
class SignTask:
    """One shard of a finished corpus to be signed from its texts; goes to a worker process."""

    path: Path
    key: str  # of the cache
    shards: ShardCache
    dedup: Dedup

    def __str__(self) -> str:
        return str(self.path)


class _Signed(NamedTuple):
    """Where the signatures of one shard are."""

    path: Path
    column: str


def index_corpus(job: Job, target: str, dedup: Sequence[Dedup]) -> KnownCorpus:
    """Open or make the index of a finished corpus for every deduplication."""
    artifact = job.inputs[target]
    shards = documents_in(artifact)
    paths = tuple(path for path, _ in shards)
    first = np.cumsum([0, *(pq.read_metadata(path).num_rows for path in paths)])
    name = digest([content for _, content in shards])[:_NAME_DIGITS]
    tables = tuple(_open_index(job, artifact, target=target, member=member, rows=int(first[-1])) for member in dedup)
    return KnownCorpus(target, name, paths, first, tables)


def known_names(corpora: Sequence[KnownCorpus], numbers: npt.NDArray[np.int64]) -> pa.Array:
    """`corpus:id` of documents numbered through all corpora, in the order given. Reads the ids of the shards they are in."""
    begins = np.cumsum([0, *(int(corpus.first[-1]) for corpus in corpora)])
    names: dict[int, str] = {}
    for corpus, begin, end in zip(corpora, begins[:-1], begins[1:], strict=True):
        own = np.unique(numbers[(numbers >= begin) & (numbers < end)]) - begin
        shard = np.searchsorted(corpus.first, own, side="right") - 1
        for number in np.unique(shard).tolist():
            rows = own[shard == number]
            ids = read_table(corpus.paths[number], ["id"])["id"].take(pa.array(rows - corpus.first[number]))
            names |= {row + int(begin): f"{corpus.name}:{i}" for row, i in zip(rows.tolist(), ids.to_pylist(), strict=True)}
    return pa.array([names.get(number) for number in numbers.tolist()], pa.string())


def write_signatures(signed: pa.Table, dedup: Sequence[Mapping[str, object]], folder: Path, number: int) -> None:
    """`signatures-N.parquet`: a row per document of `documents-N.parquet`, a column per deduplication, and what made it."""
    made = {f"signed_by.{column}": encode(dict(how)) for column, how in enumerate(dedup)}
    write_table(signed.replace_schema_metadata(made), shard_path(folder, _SIGNATURES, number))


def sign_shard(task: SignTask) -> Path:
    """The file with the signatures of one shard."""
    return task.shards.make(task.key, lambda folder: _write_signed(task, folder)) / f"{_SIGNATURES}.parquet"


def _write_signed(task: SignTask, folder: Path) -> None:
    pieces = text_slices(read_table(task.path, ["text"]))
    signed = [signature_column(task.dedup.sign(TextBatch(piece["text"].combine_chunks()))) for piece in pieces]
    write_table(pa.table({"0": pa.chunked_array(signed)}), folder / f"{_SIGNATURES}.parquet")


def _open_index(job: Job, artifact: Artifact, *, target: str, member: Dedup, rows: int) -> KnownTable:
    bands = member.banding().bands
    contents = [content for _, content in documents_in(artifact)]
    key = ShardCache.key("corpus.known", 1, [member.signed_by(), bands], *contents)
    if not job.shards.has(key):
        signed = _signed(job, artifact, target=target, member=member)
        job.shards.make(key, lambda folder: _write_index(signed, bands, rows=rows, folder=folder))
    folder = job.shards.folder(key)
    places = [
        [np.load(folder / f"{name}-{band:03d}.npy", mmap_mode="r") for name in ("rows", "codes")] for band in range(bands)
    ]
    return KnownTable(np.load(folder / "table.npy", mmap_mode="r"), tuple(KnownBand(*place) for place in places))


def _signed(job: Job, artifact: Artifact, *, target: str, member: Dedup) -> list[_Signed]:
    """Where every shard's signatures are; those that are not there, or were made otherwise, are made from the texts."""
    shards = documents_in(artifact)
    found = [_beside(path, member) for path, _ in shards]
    missing = [number for number, place in enumerate(found) if place is None]
    if missing:
        how = encode(member.signed_by())
        job.events.warn(
            f"against {target}: {len(missing)} of {len(shards)} shards have no signatures made by {how}; "
            "their texts are read and signed",
            against=target,
        )
    tasks = [
        SignTask(path, ShardCache.key("corpus.sign", 1, member.signed_by(), content), job.shards, member)
        for path, content in (shards[number] for number in missing)
    ]
    made = dict(zip(missing, mapped(job, sign_shard, tasks), strict=True))
    return [place or _Signed(made[number], "0") for number, place in enumerate(found)]


def _beside(documents: Path, member: Dedup) -> _Signed | None:
    """The signatures that lie beside a shard of documents, if they were made by an equal member."""
    path = documents.with_name(documents.name.replace("documents-", f"{_SIGNATURES}-"))
    if not path.is_file():
        return None
    wanted = encode(member.signed_by()).encode()
    for name, value in (pq.read_schema(path).metadata or {}).items():
        prefix, _, column = name.decode().partition(".")
        if prefix == "signed_by" and value == wanted:
            return _Signed(path, column)
    return None


def _write_index(signed: Sequence[_Signed], bands: int, *, rows: int, folder: Path) -> None:
    matrices = (signature_matrix(read_table(place.path, [place.column])[place.column]) for place in signed)
    table, begin = None, 0
    for matrix in matrices:
        if table is None:
            table = np.lib.format.open_memmap(folder / "table.npy", mode="w+", dtype=np.uint32, shape=(rows, matrix.shape[1]))
        table[begin : begin + len(matrix)] = matrix
        begin += len(matrix)
    assert table is not None, "documents_in names at least one shard"
    assert begin == rows, f"{begin} signatures for {rows} documents"
    table.flush()
    for number, band in enumerate(sorted_bands(table, bands)):
        np.save(folder / f"rows-{number:03d}.npy", band.rows)
        np.save(folder / f"codes-{number:03d}.npy", band.codes)
