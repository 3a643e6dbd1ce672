"""The Python face: plan, run and load as functions, over the toy river of the command line's tests and a tiny model."""

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import whorl
from whorl.core.errors import ArtifactError, ConfigError, DataError, ResourceError, UsageError
from whorl.core.records import Completion, Message
from whorl.core.seed import Seed
from whorl.flow.adopt import adopt
from whorl.flow.run import RunOptions
from whorl.flow.workspace import Workspace
from whorl.infer.request import Sampling
from whorl.model import checkpoint
from whorl.model.families import Family
from whorl.model.transformer import Transformer
from whorl.tokens.learn import learn_tokenizer
from whorl.tokens.tokenizer import Tokenizer

RECIPE = """\
name: small
stages:
  pages: {use: corpus.collect, sources: [{use: text, path: docs/*.txt}]}
  vocab: {use: tokens.learn, from: clean, size: 300}
  clean: {use: corpus.refine, from: pages, parts: {train: 1.0, held_out: 0.0, exam: 0.0}}
"""
INLINE = RunOptions(launcher="inline", workers=1)
ASKED = Message("user", "turn the wheel")


@pytest.fixture
def project(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "one.txt").write_text("the wheel turns the spindle and the spindle turns the whorl\n" * 20)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint of 64 positions."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("api")
    tokenizer = learn_tokenizer(["the wheel turns the spindle and the spindle turns the whorl " * 3] * 20, size=300)
    tokenizer.save(root / "tokenizer")
    config = Family.model_validate({"use": "llama", "depth": 1, "width": 64}).configure(tokenizer.size, 64)
    drawn = Transformer.fresh(config.model_copy(update={"zero_outputs": False, "init_std": 0.3}), Seed(1))
    checkpoint.save(root / "model", drawn, family="llama", tokenizer_folder=root / "tokenizer")
    return root / "model"


@pytest.fixture(scope="module")
def model(folder):
    return whorl.load(folder, dtype="fp32")


def test_importing_whorl_brings_in_nothing_heavy():
    code = "import sys, whorl; print([name for name in ('torch', 'pydantic', 'pyarrow', 'numpy') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_public_name_is_there_and_another_is_not():
    assert {"plan", "run", "load", "Recipe", "Model"} <= set(dir(whorl))
    assert all(callable(getattr(whorl, name)) for name in ("plan", "run", "load", "Recipe", "Model"))
    with pytest.raises(AttributeError, match="has no attribute 'plans'"):
        whorl.plans  # noqa: B018 - the access is what is tested


def test_the_stub_names_what_the_module_offers():
    stub = Path(whorl.__file__).with_suffix(".pyi").read_text()
    offered = {line.split(" as ")[1] for line in stub.splitlines() if " as " in line}
    assert offered == {"plan", "run", "load", "Recipe", "Model"}


def test_a_plan_takes_a_folder_a_file_or_a_recipe_object(project):
    wanted = ["pages", "clean", "vocab"]
    recipe = whorl.plan(project).recipe
    assert [stage.name for stage in whorl.plan(str(project)).stages] == wanted
    assert [stage.name for stage in whorl.plan(project / "recipe.yaml").stages] == wanted
    assert [stage.name for stage in whorl.plan(recipe, workspace=project).stages] == wanted
    assert [stage.name for stage in whorl.plan(project, options=replace(INLINE, last="pages")).stages] == ["pages"]


def test_overrides_change_a_file_and_are_refused_beside_an_object(project):
    changed = whorl.plan(project, overrides=["stages.vocab.size=310"])
    assert vars(changed.recipe.stages["vocab"])["size"] == 310
    with pytest.raises(UsageError, match="model_copy"):
        whorl.plan(changed.recipe, overrides=["seed=3"])
    with pytest.raises(ConfigError, match="did you mean 'size'"):
        whorl.plan(project, overrides=["stages.vocab.sizes=310"])


def test_a_run_makes_what_a_plan_promised_and_a_second_one_nothing(project):
    cleaned = replace(INLINE, last="clean")
    outcome = whorl.run(project, options=cleaned)
    assert outcome.made == ("pages", "clean")
    assert outcome.artifacts["clean"].kind == "documents"
    assert whorl.run(project / "recipe.yaml", options=cleaned).made == ()
    assert [stage.state for stage in whorl.plan(project).stages] == ["cached", "cached", "new"]


def test_a_recipe_object_runs_in_the_current_folder(project, monkeypatch):
    recipe = whorl.plan(project).recipe
    monkeypatch.chdir(project)
    assert whorl.run(recipe, options=replace(INLINE, last="pages")).made == ("pages",)
    assert Workspace(project).latest("pages") is not None


def test_a_model_is_loaded_by_folder_or_by_name(project, folder, model):
    adopt(Workspace(project), folder, "checkpoint", name="small")
    assert whorl.load("small", project, dtype="fp32").generate([ASKED], max_tokens=4) == model.generate([ASKED], max_tokens=4)
    with pytest.raises(ArtifactError, match="did you mean 'small'"):
        whorl.load("smal", project)


def test_what_is_no_checkpoint_is_not_loaded(project):
    whorl.run(project, options=replace(INLINE, last="pages"))
    with pytest.raises(ArtifactError, match="pages is documents, wanted a checkpoint"):
        whorl.load("pages", project)


def test_messages_may_be_mappings_and_a_string_is_text_to_go_on_with(model):
    plain = [{"role": "user", "content": "turn the wheel"}]
    assert model.generate(plain, max_tokens=6) == model.generate([ASKED], max_tokens=6)
    assert model.chat(plain, max_tokens=6) == Message("assistant", model.generate(plain, max_tokens=6))
    assert model.complete("the wheel", max_tokens=6).ids != model.complete([Message("user", "the wheel")], max_tokens=6).ids
    with pytest.raises(UsageError, match="want 'role' and 'content'"):
        model.generate([{"text": "turn"}])


def test_greedy_answers_do_not_depend_on_the_seed_and_drawn_ones_do(model):
    def ids(temperature: float, seed: int) -> tuple[int, ...]:
        return model.complete("the", max_tokens=12, temperature=temperature, seed=seed).ids

    assert ids(0.0, 1) == ids(0.0, 2)
    assert ids(2.0, 1) == ids(2.0, 1)
    assert ids(2.0, 1) != ids(2.0, 2)


def test_without_a_limit_an_answer_may_fill_the_context_and_no_more(model):
    prompt = "the wheel turns"
    said = model.complete(prompt)
    num_prompt = model._num_tokens(prompt)
    assert said.finish == "stop" or len(said.ids) == model.max_positions - num_prompt
    assert len(said.ids) <= model.max_positions - num_prompt


def test_a_prompt_that_leaves_no_room_is_an_error(model):
    with pytest.raises(DataError, match="fills the model's context of 64 tokens"):
        model.generate("whorl " * 80)
    with pytest.raises(DataError, match="max_tokens=60"):
        model.generate("the wheel turns the spindle", max_tokens=60)


def test_what_fits_is_the_newest_and_begins_with_the_user(model):
    said = [Message("user" if turn % 2 == 0 else "assistant", "the wheel turns") for turn in range(21)]
    kept = model.fitting(said, max_tokens=10)
    assert kept == said[-len(kept) :]
    assert kept[0].role == "user"
    assert 0 < len(kept) < len(said)
    assert model._num_tokens(kept) + 10 <= model.max_positions < model._num_tokens(said[-len(kept) - 2 :]) + 10
    assert model.fitting(said[:1], max_tokens=10) == said[:1]


def test_the_system_turn_stays_when_others_leave(model):
    system = Message("system", "be brief")
    said = [system, *(Message("user" if turn % 2 == 0 else "assistant", "the wheel turns") for turn in range(21))]
    kept = model.fitting(said, max_tokens=10)
    assert (kept[0], kept[1].role) == (system, "user")
    assert kept[1:] == said[-len(kept) + 1 :]


def test_a_last_turn_that_is_too_long_alone_is_an_error(model):
    with pytest.raises(DataError, match=r"the last message makes \d+ tokens; with 10 for the answer"):
        model.fitting([ASKED, Message("assistant", "yes"), Message("user", "whorl " * 80)], max_tokens=10)


def test_an_answer_that_broke_off_is_an_error_not_a_text(model, monkeypatch):
    broken = Completion("", finish="error", error="the model's logits are not finite after 0 tokens")
    monkeypatch.setattr(model._opened, "answers", lambda asked: iter([broken]))
    with pytest.raises(ResourceError, match="not finite after 0 tokens; try dtype='fp32'"):
        model.generate("the wheel")


def test_a_model_says_what_it_is(model, folder):
    assert repr(model) == f"Model({str(folder)!r}, context=64)"


def test_an_answer_can_be_heard_while_it_is_said_and_many_asked_at_once(model):
    sampling = Sampling(6, temperature=1.0, seed=2)
    asked = [model.asked(text, sampling) for text in ("the wheel", "the spindle", [ASKED])]
    whole = list(model.answers(asked))
    for one, wanted in zip(asked, whole, strict=True):
        pieces = list(model.stream(one))
        assert "".join(piece.text for piece in pieces) == wanted.text
    assert "".join(model.spelled(token) for token in asked[0].prompt[1:]) == "the wheel"
    with pytest.raises(DataError, match="with max_tokens=62 that is more than the model's context of 64"):
        model.asked("the wheel", Sampling(62))


def test_a_conversation_remembers(model):
    talk = model.talk(system="be brief")
    (*_, last) = talk.ask("turn", Sampling(4)).pieces
    assert talk.messages == [Message("system", "be brief"), Message("user", "turn"), Message("assistant", last.whole.text)]


def test_belief_is_divided_among_given_answers(model):
    answers = [" turns", " the spindle", " whorl"]
    found = model.shares("the wheel", answers)
    prompt = model._opened.prompt("the wheel")
    ids = [model._opened.renderer.tokenizer.encode(answer) for answer in answers]
    nats = [model.engine.score([[*prompt, *answer]])[0][len(prompt) - 1 :].sum() for answer in ids]
    wanted = [math.exp(one) / sum(map(math.exp, nats)) for one in nats]
    assert found == pytest.approx(wanted, abs=1e-5)
    assert model.shares("the wheel", answers, normalise="bytes") != found


def test_texts_have_vectors_and_only_classifiers_have_classes(model):
    vectors = model.embed(["the wheel", "the spindle turns"])
    assert vectors.shape == (2, 64)
    assert (vectors**2).sum(axis=1) == pytest.approx([1, 1])
    assert vectors[0] == pytest.approx(model.embed(["the wheel"])[0], abs=1e-5)
    with pytest.raises(UsageError, match="tells no classes"):
        model.classify(["the wheel"])


def test_a_classifier_tells_classes_of_texts_framed_as_documents(tmp_path, folder):
    tokenizer = Tokenizer.load(folder)
    tokenizer.save(tmp_path / "tokenizer")
    config = Family.model_validate({"use": "modernbert", "depth": 1, "width": 64, "classes": 3}).configure(tokenizer.size, 32)
    checkpoint.save(
        tmp_path / "model", Transformer.fresh(config, Seed(3)), family="modernbert", tokenizer_folder=tmp_path / "tokenizer"
    )
    reader = whorl.load(tmp_path / "model", dtype="fp32")
    found = reader.classify(["the wheel", "whorl"])
    ids = [tokenizer.bos, *tokenizer.encode("the wheel"), tokenizer.end]
    assert found[0] == pytest.approx(reader._opened.encoder.classify([ids])[0], abs=1e-5)
    assert found.shape == (2, 3)
    with pytest.raises(UsageError, match="cannot write text token by token"):
        reader.generate("the wheel", max_tokens=4)
