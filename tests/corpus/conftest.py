"""Jobs and finished folders for the corpus room's tests, without flow."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from whorl.core.artifact import Artifact, file_sha256
from whorl.core.canonical import plain
from whorl.core.events import Events
from whorl.core.pool import InlinePool, Pool
from whorl.core.records import DOCUMENTS
from whorl.core.seed import Seed
from whorl.core.shards import ShardCache
from whorl.core.stage import Job, Stage
from whorl.corpus.document_batch import DocumentBatch
from whorl.corpus.filters import Filter
from whorl.corpus.verdict import Judged


@dataclass
class Workshop:
    """Runs stages in a folder of its own and keeps what they made and said."""

    root: Path
    pool: Pool = field(default_factory=InlinePool)
    made: dict[str, Artifact] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)

    def run(self, name: str, **config: Any) -> dict[str, Any]:
        """Run one stage under a name that later stages may refer to; returns its counts."""
        stage = Stage.model_validate(config)
        folder = self.root / "made" / name
        folder.mkdir(parents=True)
        events = Events(name, [self.events.append])
        job = Job(name, self.root, folder, self.made, Seed(7), events, self.pool, ShardCache(self.root / ".whorl"))
        counts = dict(stage.run(job))
        files = {path.name: {"sha256": file_sha256(path)} for path in sorted(folder.iterdir()) if path.is_file()}
        manifest = {"files": files, "counts": counts, "identity": {"config": plain(stage)}}
        self.made[name] = Artifact("documents", name, folder, manifest)
        return counts

    def folder(self, name: str) -> Path:
        """What a stage made."""
        return self.made[name].path

    def files(self, name: str) -> dict[str, str]:
        """Hash of every file a stage made, by name."""
        return {file: entry["sha256"] for file, entry in self.made[name].manifest["files"].items()}

    def write(self, name: str, content: str | bytes) -> Path:
        """A file of the project."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def cached_shards(self) -> set[str]:
        """Keys of every finished map step."""
        return {path.name for path in (self.root / ".whorl" / "cache" / "shards").iterdir()}


def document_batch(texts: list[str], **columns: list[str | None]) -> DocumentBatch:
    """Documents named d0, d1, ... with some columns filled."""
    drawn: dict[str, list[str | None]] = {name: [None] * len(texts) for name in DOCUMENTS.names}
    drawn |= {"id": [f"d{i}" for i in range(len(texts))], "source": ["here"] * len(texts), "text": texts} | columns
    return DocumentBatch(pa.table(drawn, schema=DOCUMENTS))


@pytest.fixture
def verdict_on() -> Callable[..., Judged]:
    """What a filter says of some texts: `verdict_on({"use": ...}, texts, url=[...])`."""
    return lambda config, texts, **columns: Filter.model_validate(config).judge(document_batch(texts, **columns))


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def workshop_at() -> Callable[..., Workshop]:
    return Workshop
