"""bench/workshop: run stages in this process, in a folder of their own, so that their CPU time can be read off the clock.

The real stages with their real files; only flow's bookkeeping (plan, lease, worker processes) is left out.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whorl.core.artifact import Artifact, file_sha256
from whorl.core.events import Events
from whorl.core.pool import InlinePool
from whorl.core.seed import Seed
from whorl.core.shards import ShardCache
from whorl.core.stage import Job, Stage

__all__ = ["Workshop"]


@dataclass
class Workshop:
    """Stages run one after another under names that later ones refer to. Nothing is cached between workshops."""

    root: Path
    made: dict[str, Artifact] = field(default_factory=dict)

    def adopt(self, name: str, folder: Path, kind: str = "documents") -> None:
        """Take a folder for the result of a stage."""
        files = {path.name: {"sha256": file_sha256(path)} for path in sorted(folder.rglob("*")) if path.is_file()}
        self.made[name] = Artifact(kind, name, folder, {"files": files, "counts": {}, "identity": {"config": {}}})

    def run(self, name: str, **config: Any) -> dict[str, Any]:
        """Run one stage; returns its counts."""
        stage = Stage.model_validate(config)
        folder = self.root / name
        folder.mkdir(parents=True)
        job = Job(name, self.root, folder, self.made, Seed(7), Events(name), InlinePool(), ShardCache(self.root / ".whorl"))
        counts = dict(stage.run(job))
        self.adopt(name, folder, stage.makes)
        return counts
