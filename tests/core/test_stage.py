import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

import whorl
from whorl.core import door
from whorl.core.artifact import Artifact
from whorl.core.config import Config, Ref
from whorl.core.errors import ConfigError
from whorl.core.events import Events
from whorl.core.pool import InlinePool
from whorl.core.seed import Seed
from whorl.core.shards import ShardCache
from whorl.core.stage import Job, Stage, StopSignal, stage_names

TOY = '''
from whorl.core.stage import Stage

class Collect(Stage):
    """Collects."""
    pages: int = 3
    def run(self, job):
        return {"pages": self.pages}
'''


class Outside(Stage):
    """A stage from outside the house."""

    source: Ref[Literal["documents"]]

    def run(self, job: Job) -> Mapping[str, Any]:
        return {"size": job.open(self.source).size_bytes}


class River(Config):
    stages: dict[str, Stage]


def forget_members() -> None:
    door.member_names.cache_clear()
    door._own_names.cache_clear()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A house whose only room is corpus, with one stage in a file and one that grew into a folder."""
    folder = tmp_path / "whorl" / "corpus"
    (folder / "stages" / "refine").mkdir(parents=True)
    for package in (folder, folder / "stages"):
        (package / "__init__.py").write_text("")
    (folder / "stages" / "collect.py").write_text(TOY)
    (folder / "stages" / "refine" / "__init__.py").write_text("from whorl.corpus.stages.refine.whole import Refine as Refine")
    (folder / "stages" / "refine" / "whole.py").write_text(TOY.replace("Collect", "Refine"))
    kept = {name: module for name, module in sys.modules.items() if name.startswith("whorl.corpus")}
    for name in kept:
        del sys.modules[name]
    monkeypatch.setattr(whorl, "__path__", [str(tmp_path / "whorl"), *whorl.__path__])
    if hasattr(whorl, "corpus"):
        monkeypatch.delattr(whorl, "corpus")
    forget_members()
    yield
    for name in [name for name in sys.modules if name.startswith("whorl.corpus")]:
        del sys.modules[name]
    sys.modules.update(kept)
    forget_members()


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Artifact("documents", "f" * 64, tmp_path, {"files": {"a": {"bytes": 12}}})
    return Job("clean", tmp_path, tmp_path, {"pages": made}, Seed(7), Events("clean"), InlinePool(), ShardCache(tmp_path))


def test_a_job_opens_what_a_reference_points_at(job: Job) -> None:
    assert Outside(source=Ref("pages")).run(job) == {"size": 12}


def test_resume_state_has_a_folder_of_its_own(job: Job) -> None:
    (job.scratch / "position").touch()
    assert job.scratch == job.folder / "scratch"


def test_a_stop_signal_is_seen_once_set() -> None:
    signal = StopSignal()
    assert not signal.is_set()
    signal.flag.set()
    assert signal.is_set()
    assert not StopSignal().is_set(), "signals are not shared"


@pytest.mark.usefixtures("house")
def test_a_stage_is_a_file_in_its_room() -> None:
    assert stage_names() == Stage.names() == ("corpus.collect", "corpus.refine")
    river = River.model_validate({"stages": {"a": {"use": "corpus.collect", "pages": 4}, "b": {"use": "corpus.refine"}}})
    assert [(stage.use, type(stage).__name__) for stage in river.stages.values()] == [
        ("corpus.collect", "Collect"),
        ("corpus.refine", "Refine"),
    ]


@pytest.mark.usefixtures("house")
def test_an_unknown_stage_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"^no stage 'corpus\.colect'; did you mean 'corpus\.collect'\?$"):
        Stage.find("corpus.colect", frozenset())


def test_a_stage_from_outside_needs_trust_and_keeps_its_whole_name() -> None:
    use = f"{__name__}:Outside"
    package = __name__.partition(".")[0]
    assert Outside(source=Ref("x")).use == use
    with pytest.raises(ConfigError, match="code from outside the house"):
        Stage.find(use, frozenset())
    assert Stage.find(use, frozenset({package})) is Outside


def test_a_plain_stage_depends_on_nothing_but_its_config() -> None:
    stage = Outside(source=Ref("x"))
    assert stage.settled({"dtype": "bf16"}) is stage
    assert stage.raw_inputs(Path()) == {}
    assert stage.to_pin() == {}
    assert stage.work({}) is None
    assert (stage.makes, stage.also_makes, stage.code_version, stage.is_seeded) == ("documents", (), 1, False)


def test_a_plain_stage_pins_nothing(job: Job) -> None:
    assert Outside(source=Ref("x")).pin(job) == {}
