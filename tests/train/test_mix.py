"""Fits on mixtures: the recipe's form, what is refused, where a source that is spent ends a run, and what was read when."""

import json
import shutil

import pytest
from pydantic import ValidationError
from toy_training import CHATS, Ground, content, fit, text

from whorl.core.artifact import Artifact
from whorl.core.canonical import plain
from whorl.core.config import refs_in
from whorl.core.errors import ConfigError, UsageError
from whorl.core.stage import Stage
from whorl.tokens.learn import learn_tokenizer
from whorl.tokens.shards import TOKENIZER_FOLDER, ShardWriter
from whorl.train.reading import reading


@pytest.fixture(scope="module")
def more(ground, tmp_path_factory):
    """A second tokens artifact of twelve documents, encoded with the same tokenizer."""
    folder = tmp_path_factory.mktemp("more")
    ground.tokenizer.save(folder / TOKENIZER_FOLDER)
    for part, numbers in {"train": range(100, 112), "held_out": range(2000, 2004)}.items():
        with ShardWriter(folder / part, ground.tokenizer) as writer:
            writer.add([f"more-{n}" for n in numbers], [text(n) for n in numbers])
    return Artifact("tokens", "more", folder, {"content": "more", "counts": {}, "files": {}})


def mixed(*, on_spent="fail", **limits):
    return {"mix": [{"from": "ids", "weight": 3}, {"from": "more", "weight": 1, **limits}], "on_spent": on_spent}


def run(ground: Ground, draft, more, **changes):
    said = []
    stage = fit(**changes)
    counts = stage.run(ground.job(draft, inputs={"more": more}, sinks=[said.append]))
    return stage, counts, said


def test_a_mixture_is_read_in_its_proportions_and_watched_on_every_source(ground, more, tmp_path):
    _, counts, said = run(ground, tmp_path / "a", more, data=mixed(), length="60 steps")
    (length,) = [event for event in said if event["kind"] == "setting" and event["name"] == "length"]
    tokens = {name: passes * num for (name, passes), num in zip(length["epochs"].items(), _sizes(ground, more), strict=True)}
    assert tokens["ids"] / tokens["more"] == pytest.approx(3, rel=0.02)
    assert counts["held_out_bits_per_byte"] > 0


def _sizes(ground, more):
    stage = fit(data=mixed())
    for folder in (ground.root / "tokens", more.path):
        yield int(stage.objective.material(folder, "train", ground.tokenizer).sequences.lengths().sum())


def test_a_fit_on_a_mixture_stopped_and_resumed_equals_one_that_ran_through(ground, more, tmp_path):
    run(ground, tmp_path / "whole", more, data=mixed())
    job = ground.job(tmp_path / "halved", inputs={"more": more})
    job.events.sinks.append(lambda event: job.stop.flag.set() if event.get("loss") and event["step"] == 7 else None)
    with pytest.raises(Exception, match="stopped at step 7"):
        fit(data=mixed()).run(job)
    run(ground, tmp_path / "halved", more, data=mixed())
    assert content(tmp_path / "halved") == content(tmp_path / "whole")


def test_a_spent_source_refuses_the_length_before_the_first_step_or_ends_it(ground, more, tmp_path):
    with pytest.raises(ConfigError, match=r"reads ids .* times, more .* times, but max_epochs ends it after \d+ steps"):
        run(ground, tmp_path / "fail", more, data=mixed(max_epochs=1), length="100 steps")
    _, counts, said = run(ground, tmp_path / "stop", more, data=mixed(max_epochs=1, on_spent="stop"), length="100 steps")
    (length,) = [event for event in said if event["kind"] == "setting" and event["name"] == "length"]
    assert 1 < counts["steps"] < 100
    assert length["epochs"]["more"] <= 1
    warnings = [event["message"] for event in said if event["kind"] == "warning"]
    assert warnings == [f"length '100 steps' ends after {counts['steps']} steps: a source has been read max_epochs times"]


def test_sources_of_different_tokenizers_are_refused(ground, more, tmp_path):
    foreign = tmp_path / "foreign"
    shutil.copytree(more.path, foreign)
    other = learn_tokenizer(["abababab cdcdcdcd"] * 3, size=267)
    other.save(foreign / TOKENIZER_FOLDER)
    with pytest.raises(ConfigError, match="encode everything that is mixed with the same tokenizer"):
        run(ground, tmp_path / "draft", Artifact("tokens", "more", foreign, {}), data=mixed())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"mix": []}}, "at least 1 item"),
        ({"data": {"mix": [{"from": "ids", "weight": 0}]}}, "greater than 0"),
        ({"data": {"mix": [{"from": "ids.exam"}]}}, "only the part 'train' is trained on; write data: ids"),
        ({"data": {"mix": [{"from": "ids", "weigh": 2}]}}, "did you mean 'weight'"),
        ({"data": {"mix": [{"from": "ids"}]}, "length": "2 epochs"}, "every source of a mixture has epochs of its own"),
    ],
)
def test_a_mixture_that_cannot_mean_anything_is_refused_when_read(changes, message):
    with pytest.raises(ValidationError, match=message):
        fit(**changes)


def test_one_source_is_hashed_as_before_there_were_mixtures():
    assert plain(fit(), hashed_only=True)["data"] == {"part": None}


def test_a_mixture_is_hashed_by_weights_and_not_by_names():
    config = plain(fit(data=mixed(max_epochs=2)), hashed_only=True)["data"]
    assert config == {
        "mix": [
            {"from": {"part": None}, "weight": 3.0, "max_epochs": None},
            {"from": {"part": None}, "weight": 1.0, "max_epochs": 2.0},
        ],
        "on_spent": "fail",
    }


def test_a_mixture_survives_being_spelled_and_read_again_and_its_references_have_places():
    stage = fit(data=mixed()).settled({})
    assert Stage.model_validate(plain(stage)) == stage
    assert [place for place, _ in refs_in(stage)] == ["data.mix.0.from", "data.mix.1.from"]


def finished(ground, draft, stage, counts, inputs):
    """A checkpoint with the manifest that flow would write."""
    parents = {place: {"ref": str(ref), "kind": inputs[ref.target].kind} for place, ref in refs_in(stage)}
    identity = {"stage": stage.use, "config": plain(stage.settled({}), hashed_only=True), "seed": 7}
    manifest = {"identity": json.loads(json.dumps(identity)), "parents": parents, "counts": counts}
    return Artifact("checkpoint", "c" * 64, draft / "checkpoint", manifest), {
        place: inputs[ref.target] for place, ref in refs_in(stage)
    }


@pytest.mark.parametrize("changes", [{}, {"data": mixed()}, CHATS], ids=["one", "mixture", "dialogues"])
def test_what_a_step_read_is_told_from_the_manifest(ground, more, tmp_path, changes):
    job = ground.job(tmp_path, inputs={"more": more})
    stage = fit(**changes, length="6 steps")
    loader = stage.opened(job).loader
    checkpoint, inputs = finished(ground, tmp_path, stage, stage.run(job), job.inputs)
    told = reading(checkpoint, inputs)
    assert told.steps == 6
    read = [loader.documents(step) for step in range(6)]
    assert [told.documents(step) for step in range(1, 7)] == read
    name = read[3][0]
    assert told.steps_of(name) == [step + 1 for step, names in enumerate(read) if name in names]
    for step in (0, 7):
        with pytest.raises(UsageError, match=f"step {step}: this fit took steps 1 to 6"):
            told.documents(step)


def test_a_checkpoint_that_was_adopted_read_nothing_here(ground):
    adopted = Artifact("checkpoint", "a" * 64, ground.root, {"identity": {"stage": "adopt"}, "parents": {}, "counts": {}})
    with pytest.raises(UsageError, match="was made by 'adopt', which read no batches"):
        reading(adopted, {})
