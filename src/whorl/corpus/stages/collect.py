"""corpus/stages/collect: read every source into documents, and record what could not be read.

Files are dealt to shards by a hash of their names, and each shard is cached under the contents of its files: adding or
changing one file reads one shard again. Does not clean, filter or compare.
"""

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from pydantic import Field

from whorl.core.canonical import plain
from whorl.core.errors import DataError
from whorl.core.quantity import Bytes
from whorl.core.shards import ShardCache, read_table, shard_path, shard_paths, write_table
from whorl.core.stage import Job, Stage
from whorl.corpus.files import Unit, content_hash
from whorl.corpus.ledger import LEDGER
from whorl.corpus.rows import Skip
from whorl.corpus.shard_map import mapped
from whorl.corpus.sources import Source

__all__ = ["Collect"]


class Collect(Stage):
    """Documents of several sources as shards of about `shard_size` bytes of files."""

    sources: tuple[Source, ...] = Field(min_length=1)
    shard_size: Bytes = Field(32_000_000, ge=1)  # small enough that eight workers share a laptop's memory

    def raw_inputs(self, root: Path) -> Mapping[str, str]:
        """See Stage.raw_inputs."""
        return {f"sources.{number}": source.content(root) for number, source in enumerate(self.sources)}

    def run(self, job: Job) -> Mapping[str, Any]:
        """See Stage.run. Raises DataError when nothing at all was read or two documents share an id."""
        tasks = self._tasks(job)
        folders = list(mapped(job, _collect_shard, tasks))
        paths = _gather(folders, job.folder)
        skipped = _skips(folders)
        num_docs, num_bytes = _check_ids(paths)
        if not num_docs:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items())) or "nothing was found"
            raise DataError(f"{job.name}: no document in {sum(len(t.dealt) for t in tasks)} files ({reasons}); look at sources")
        return {
            "files": sum(len(task.dealt) for task in tasks),
            "documents_in": num_docs + sum(skipped.values()),
            "documents": num_docs,
            "bytes": num_bytes,
            **{f"skipped.{reason}": count for reason, count in sorted(skipped.items())},
        }

    def _tasks(self, job: Job) -> list["_Task"]:
        dealt = [_Dealt(source, unit) for source in self.sources for unit in source.units(job.root)]
        total = sum(item.unit.size_bytes for item in dealt)
        num_shards = 1
        while num_shards * self.shard_size < total:
            num_shards *= 2  # powers of two: a corpus that grows is dealt anew only when it doubles
        shares: list[list[_Dealt]] = [[] for _ in range(num_shards)]
        for item in dealt:
            shares[xxhash.xxh3_64_intdigest(item.name.encode()) % num_shards].append(item)
        return [self._task(share, job.shards) for share in shares if share]

    def _task(self, share: list["_Dealt"], shards: ShardCache) -> "_Task":
        share = sorted(share, key=lambda item: item.name)
        config = [self.shard_size, [plain(item.source, hashed_only=True) for item in share]]
        key = ShardCache.key("corpus.collect", self.code_version, config, content_hash([item.unit for item in share]))
        return _Task(tuple(share), key, shards, self.shard_size)


class _Dealt(NamedTuple):
    source: Source
    unit: Unit

    @property
    def name(self) -> str:
        return f"{self.source.use}:{self.unit.name}"


@dataclass(frozen=True)
class _Task:
    dealt: tuple[_Dealt, ...]
    key: str
    shards: ShardCache
    shard_size: int

    def __str__(self) -> str:
        return f"{len(self.dealt)} files from {self.dealt[0].name}"


def _collect_shard(task: _Task) -> Path:
    return task.shards.make(task.key, lambda folder: _write_shard(task, folder))


def _write_shard(task: _Task, folder: Path) -> None:
    """One or more tables of documents: text that is larger than its files begins another."""
    skipped: list[Skip] = []
    tables: list[pa.Table] = []
    number = num_bytes = 0
    for documents in _read_all(task.dealt, skipped):
        tables.append(documents)
        num_bytes += documents.nbytes
        if num_bytes >= 2 * task.shard_size:
            write_table(pa.concat_tables(tables), shard_path(folder, "documents", number))
            tables, number, num_bytes = [], number + 1, 0
    if tables:
        write_table(pa.concat_tables(tables), shard_path(folder, "documents", number))
    write_table(_skip_rows(skipped), folder / "ledger.parquet")


def _read_all(dealt: Sequence[_Dealt], skipped: list[Skip]) -> Iterator[pa.Table]:
    for source, unit in dealt:
        for harvest in source.read(unit):
            skipped.extend(harvest.skipped)
            if len(harvest.documents):
                yield harvest.documents


def _skip_rows(skipped: Sequence[Skip]) -> pa.Table:
    columns: dict[str, list[Any]] = {name: [None] * len(skipped) for name in LEDGER.names}
    columns |= {"id": [s.id for s in skipped], "source": [s.source for s in skipped], "kept": [False] * len(skipped)}
    columns |= {
        "step": ["collect"] * len(skipped),
        "reason": [s.reason for s in skipped],
        "detail": [s.detail for s in skipped],
    }
    return pa.table(columns, schema=LEDGER)


def _gather(folders: Sequence[Path], into: Path) -> list[Path]:
    """Copy finished shards into the artifact, numbered in order."""
    paths: list[Path] = []
    for number, folder in enumerate(folders):
        shutil.copyfile(folder / "ledger.parquet", shard_path(into, "ledger", number))
        for path in shard_paths(folder):
            paths.append(shard_path(into, "documents", len(paths)))
            shutil.copyfile(path, paths[-1])
    return paths


def _skips(folders: Sequence[Path]) -> Counter[str]:
    return Counter(
        reason for folder in folders for reason in read_table(folder / "ledger.parquet", ["reason"])["reason"].to_pylist()
    )


def _check_ids(paths: Sequence[Path]) -> tuple[int, int]:
    """Number of documents and bytes of text. Raises DataError when an id occurs twice."""
    ids: list[pa.ChunkedArray] = []
    num_bytes = 0
    for path in paths:
        table = read_table(path, ["id", "text"])
        ids.append(table["id"])
        num_bytes += pc.sum(pc.binary_length(table["text"])).as_py() or 0
    joined = pa.chunked_array([chunk for column in ids for chunk in column.chunks], pa.string())
    if pc.count_distinct(joined).as_py() < len(joined):
        counts = pc.value_counts(joined)
        twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values").slice(0, 3).to_pylist()
        raise DataError(f"ids occur more than once: {', '.join(twice)}; set name on one of the sources, or another id_field")
    return len(joined), num_bytes
