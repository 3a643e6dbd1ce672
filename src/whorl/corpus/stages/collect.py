"""corpus/stages/collect: read every source into documents, and record what could not be read.

Files are dealt to shards by a hash of their names, and each shard is cached under the contents of its files: adding or
changing one file reads one shard again. Does not clean, filter or compare.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from pydantic import Field

from whorl.core.canonical import digest, plain
from whorl.core.errors import DataError
from whorl.core.quantity import Bytes
from whorl.core.shards import ShardCache, read_table, shard_path, shard_paths
from whorl.core.stage import Job, Stage
from whorl.corpus.files import Unit, content_hash
from whorl.corpus.rows import Harvest
from whorl.corpus.shard_map import mapped
from whorl.corpus.shard_writer import COUNTS_FILE, LEDGER_FILE, write_shards
from whorl.corpus.sources import Source
from whorl.text.columns import text_keys

__all__ = ["Collect"]


class Collect(Stage):
    """Documents of several sources as shards of about `shard_size` bytes of files."""

    code_version = 2

    sources: tuple[Source, ...] = Field(min_length=1)
    shard_size: Bytes = Field(32_000_000, ge=1)  # small enough that eight workers share a laptop's memory

    def raw_inputs(self, root: Path) -> Mapping[str, str]:
        """See Stage.raw_inputs."""
        contents = {f"sources.{number}": source.content(root) for number, source in enumerate(self.sources)}
        return contents | {f"sources.{number}.code": source.code() for number, source in enumerate(self.sources)}

    def run(self, job: Job) -> Mapping[str, Any]:
        """See Stage.run. Raises DataError when nothing at all was read or two documents share an id."""
        tasks = self._tasks(job)
        folders = list(mapped(job, _collect_shard, tasks, sizes=[task.size_bytes for task in tasks]))
        _check_ids(_gather(folders, job.folder))
        counts = [json.loads((folder / COUNTS_FILE).read_text(encoding="utf-8")) for folder in folders]
        skipped = sum((Counter(count["skipped"]) for count in counts), Counter[str]())
        num_docs = sum(count["documents"] for count in counts)
        num_files = sum(len(task.dealt) for task in tasks)
        if not num_docs:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items())) or "nothing was found"
            raise DataError(f"{job.name}: no document in {num_files} files ({reasons}); look at sources")
        return {
            "files": num_files,
            "documents_in": num_docs + sum(skipped.values()),
            "documents": num_docs,
            "bytes": sum(count["bytes"] for count in counts),
            **{f"skipped.{reason}": count for reason, count in sorted(skipped.items())},
        }

    def _tasks(self, job: Job) -> list["_Task"]:
        dealt = [item for source in self.sources for item in _dealt(source, job.root)]
        total = sum(item.unit.size_bytes for item in dealt)
        num_shards = 1
        while num_shards * self.shard_size < total:
            num_shards *= 2  # powers of two: a corpus that grows is dealt anew only when it doubles
        shares: list[list[_Dealt]] = [[] for _ in range(num_shards)]
        for item in dealt:
            shares[xxhash.xxh3_64_intdigest(item.name.encode()) % num_shards].append(item)
        known: dict[str, str] = {}
        return [self._task(share, job.shards, known) for share in shares if share]

    def _task(self, share: list["_Dealt"], shards: ShardCache, known: dict[str, str]) -> "_Task":
        share = sorted(share, key=lambda item: item.name)
        config = [self.shard_size, [item.how for item in share]]
        contents = content_hash([item.unit for item in share], known)
        return _Task(
            tuple(share), ShardCache.key("corpus.collect", self.code_version, config, contents), shards, self.shard_size
        )


class _Dealt(NamedTuple):
    source: Source
    how: str  # hash of everything but the files that decides what the source makes of them
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

    @property
    def size_bytes(self) -> int:
        return sum(item.unit.size_bytes for item in self.dealt)


def _dealt(source: Source, root: Path) -> Iterator[_Dealt]:
    how = digest([plain(source, hashed_only=True), source.code()])
    return (_Dealt(source, how, unit) for unit in source.units(root))


def _collect_shard(task: _Task) -> Path:
    return task.shards.make(task.key, lambda folder: write_shards(_harvests(task.dealt), folder, 2 * task.shard_size))


def _harvests(dealt: Sequence[_Dealt]) -> Iterator[Harvest]:
    return (harvest for source, _, unit in dealt for harvest in source.read(unit))


def _gather(folders: Sequence[Path], into: Path) -> list[Path]:
    """Copy finished shards into the artifact, numbered in order."""
    paths: list[Path] = []
    for number, folder in enumerate(folders):
        shutil.copyfile(folder / LEDGER_FILE, shard_path(into, "ledger", number))
        for path in shard_paths(folder):
            paths.append(shard_path(into, "documents", len(paths)))
            shutil.copyfile(path, paths[-1])
    return paths


def _check_ids(paths: Sequence[Path]) -> None:
    """Raises DataError when an id occurs twice. Holds eight bytes per document; ids are read again only where hashes meet."""
    hashes = np.concatenate([np.zeros(0, np.uint64), *(text_keys(read_table(path, ["id"])["id"]) for path in paths)])
    hashes.sort()
    meeting = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    if not len(meeting):
        return
    ids = pa.chunked_array([chunk for path in paths for chunk in _meeting_ids(path, meeting).chunks], pa.string())
    counts = pc.value_counts(ids)
    twice = sorted(counts.filter(pc.greater(counts.field("counts"), 1)).field("values").to_pylist())
    if twice:
        shown = ", ".join(twice[:3])
        raise DataError(f"ids occur more than once: {shown}; set name on one of the sources, or another id_field")


def _meeting_ids(path: Path, meeting: npt.NDArray[np.uint64]) -> pa.ChunkedArray:
    ids = read_table(path, ["id"])["id"]
    return ids.filter(pa.array(np.isin(text_keys(ids), meeting)))
