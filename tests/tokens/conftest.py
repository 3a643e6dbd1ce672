"""Shared by the tests of tokens: a small text, the tokenizer learnt from it, and a way to run a stage without flow."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from whorl.core.artifact import Artifact, file_sha256
from whorl.core.events import Event, Events
from whorl.core.pool import InlinePool, Pool
from whorl.core.records import DOCUMENTS
from whorl.core.seed import Seed
from whorl.core.shards import ShardCache, shard_path, write_table
from whorl.core.stage import Job
from whorl.tokens.learn import learn_tokenizer
from whorl.tokens.tokenizer import Tokenizer

NOUNS = ("spindle", "whorl", "thread", "fibre", "wheel", "weaver", "loom")
SIZE = 340
VERBS = ("turns", "holds", "follows", "wouldn't stop", "counts 1234 times")


def tales() -> list[str]:
    """Thirty-five short texts with words that recur, digits, contractions, accents and code."""
    foreign = "Na\u00efve d\u00e9j\u00e0, e\u0301t\u00e9 \u6771\u4eac."
    return [
        f"The {noun} {verb} the {NOUNS[n - 1]}.\n\n    def {noun}(x): return x + {n}\r\n{foreign}"
        for n, noun in enumerate(NOUNS)
        for verb in VERBS
    ]


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return learn_tokenizer(tales(), size=SIZE)


MakeArtifact = Callable[[str, Path], Artifact]


@pytest.fixture
def as_artifact() -> MakeArtifact:
    """A folder with the manifest entries a stage may look at."""

    def make(kind: str, folder: Path) -> Artifact:
        names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
        files = {name: {"sha256": file_sha256(folder / name), "bytes": (folder / name).stat().st_size} for name in names}
        return Artifact(kind, "f" * 64, folder, {"files": files, "content": "c" * 64, "counts": {}})

    return make


WriteDocuments = Callable[[Path, Sequence[Sequence[tuple[str, str, str | None]]]], Path]


@pytest.fixture
def write_documents() -> WriteDocuments:
    """Shards of documents, each given as (id, text, part)."""

    def write(folder: Path, shards: Sequence[Sequence[tuple[str, str, str | None]]]) -> Path:
        for number, rows in enumerate(shards):
            columns: dict[str, list[object]] = {name: [None] * len(rows) for name in DOCUMENTS.names}
            columns |= {"id": [r[0] for r in rows], "text": [r[1] for r in rows], "part": [r[2] for r in rows]}
            columns["source"] = ["test"] * len(rows)
            write_table(pa.table(columns, schema=DOCUMENTS), shard_path(folder, "documents", number))
        return folder

    return write


MakeJob = Callable[..., Job]


@pytest.fixture
def make_job(tmp_path: Path) -> MakeJob:
    """A job writing to `tmp_path/<folder>`; events are collected in `events`."""

    def make(folder: str, inputs: Mapping[str, Artifact], pool: Pool | None = None, events: list[Event] | None = None) -> Job:
        draft = tmp_path / folder
        draft.mkdir(exist_ok=True)
        sinks = [] if events is None else [events.append]
        return Job(
            name="job",
            root=tmp_path,
            folder=draft,
            inputs=inputs,
            seed=Seed(7),
            events=Events("job", sinks),
            pool=pool or InlinePool(),
            shards=ShardCache(tmp_path / ".whorl"),
        )

    return make
