"""core/shards: numbered Parquet shards, and the cache of finished map steps keyed by what they were made from.

A map step over data is keyed per shard, so one changed file recomputes one shard. Does not know what a step does.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from whorl.core.artifact import remove_tree
from whorl.core.canonical import digest
from whorl.core.errors import DataError

__all__ = ["ShardCache", "iter_tables", "read_table", "shard_path", "shard_paths", "write_table"]


def shard_path(folder: Path, name: str, number: int) -> Path:
    """`<folder>/<name>-00012.parquet`."""
    return folder / f"{name}-{number:05d}.parquet"


def shard_paths(folder: Path, name: str = "documents") -> list[Path]:
    """Numbered shards of one name, in order."""
    return sorted(folder.glob(f"{name}-*.parquet"))


def write_table(table: pa.Table, path: Path) -> None:
    """Write Parquet in one step (temporary file, rename). The same table gives the same bytes on the same pyarrow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    pq.write_table(table, temporary, compression="zstd", row_group_size=8192)
    temporary.replace(path)


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """One shard as a table. Raises DataError when it cannot be read."""
    try:
        return pq.read_table(path, columns=list(columns) if columns else None)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file ({error})") from error


def iter_tables(folder: Path, name: str = "documents", columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The shards of a folder one after another; memory holds one at a time."""
    for path in shard_paths(folder, name):
        yield read_table(path, columns)


@dataclass(frozen=True)
class ShardCache:
    """Finished map steps under `<root>/cache/shards/<key>/`; safe to delete at any time."""

    root: Path

    @staticmethod
    def key(step: str, version: int, config: Any, *inputs: str) -> str:  # noqa: ANN401 - any plain value
        """The key of one shard of one step: its name, code version, plain config and input content hashes."""
        return digest([step, version, config, list(inputs)])

    def folder(self, key: str) -> Path:
        """Where the step's output for this key is or will be."""
        return self.root / "cache" / "shards" / key

    def has(self, key: str) -> bool:
        """Whether the output is there, whole."""
        return self.folder(key).is_dir()

    def make(self, key: str, write: Callable[[Path], None]) -> Path:
        """The finished folder for `key`, calling `write` with an empty folder when it is not there yet."""
        final = self.folder(key)
        if final.is_dir():
            return final
        draft = final.with_name(f"{key}.{os.getpid()}.partial")
        if draft.is_dir():
            remove_tree(draft)
        draft.mkdir(parents=True)
        write(draft)
        try:
            draft.rename(final)
        except OSError:
            if not final.is_dir():
                raise
            remove_tree(draft)  # another process finished the same shard first; both hold the same bytes
        return final
