from pathlib import Path

import gguf
import pytest

from whorl.core.artifact import Artifact
from whorl.core.events import Events
from whorl.core.pool import InlinePool
from whorl.core.seed import Seed
from whorl.core.shards import ShardCache
from whorl.core.stage import Job, Stage


@pytest.fixture
def job(tmp_path, checkpoint_of) -> Job:
    made = Artifact("checkpoint", "f" * 64, checkpoint_of("llama"), {"files": {}, "content": "c" * 64, "counts": {}})
    folder = tmp_path / "export"
    folder.mkdir()
    return Job("out", tmp_path, folder, {"base": made}, Seed(7), Events("out"), InlinePool(), ShardCache(tmp_path / ".whorl"))


def test_a_checkpoint_becomes_an_export_in_the_format_asked_for(job: Job):
    stage = Stage.model_validate(
        {"use": "compress.export", "from": "base", "format": {"use": "gguf", "dtype": "q8_0", "name": "spindle"}}
    )
    counts = stage.run(job)
    assert stage.makes == "export"
    assert counts["architecture"] == "llama"
    assert [path.name for path in job.folder.iterdir()] == ["spindle-q8_0.gguf"]
    assert len(gguf.GGUFReader(Path(job.folder) / "spindle-q8_0.gguf").tensors) == counts["tensors"]
