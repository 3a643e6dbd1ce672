import json

import pytest
import torch

from whorl.core.errors import ArtifactError, DataError, UsageError
from whorl.core.records import Message
from whorl.core.seed import Seed
from whorl.infer.answer import Model
from whorl.infer.engine import Sampling
from whorl.model import checkpoint
from whorl.model.families import Family
from whorl.model.transformer import Transformer
from whorl.tokens.learn import learn_tokenizer
from whorl.tokens.renderer import Renderer

ASKED = [Message("user", "turn the wheel")]


@pytest.fixture(scope="module")
def tokenizer():
    return learn_tokenizer(["the wheel turns the spindle and the spindle turns the whorl " * 3] * 20, size=300)


@pytest.fixture(scope="module")
def folder(tokenizer, tmp_path_factory):
    root = tmp_path_factory.mktemp("answer")
    tokenizer.save(root / "tokenizer")
    config = Family.model_validate({"use": "llama", "depth": 1, "width": 64}).configure(tokenizer.size, 64)
    model = Transformer.fresh(config.model_copy(update={"zero_outputs": False, "init_std": 0.3}), Seed(1))
    extra = {"renderer": Renderer(tokenizer).fingerprint}
    checkpoint.save(root / "model", model, family="llama", tokenizer_folder=root / "tokenizer", extra=extra)
    return root / "model"


def test_an_answer_is_the_engine_s_on_the_rendered_prompt(folder):
    model = Model.load(folder, dtype="fp32")
    found = model.generate(ASKED, max_tokens=8)
    said = model.engine.generate([model.renderer.prompt(ASKED)], Sampling(max_tokens=8))[0]
    assert (found.ids, found.finish) == (said.ids, said.finish)
    assert found.text == model.renderer.tokenizer.decode([token for token in said.ids if token != model.renderer.tokenizer.end])


def test_messages_may_be_plain_mappings(folder):
    model = Model.load(folder, dtype="fp32")
    assert model.generate([{"role": "user", "content": "turn the wheel"}], max_tokens=8) == model.generate(ASKED, max_tokens=8)


def test_a_base_model_continues_a_document_without_markup(folder):
    model = Model.load(folder, dtype="fp32")
    tokenizer = model.renderer.tokenizer
    said = model.engine.generate([[tokenizer.bos, *tokenizer.encode("the wheel")]], Sampling(max_tokens=5))[0]
    assert model.complete("the wheel", max_tokens=5).ids == said.ids


def test_heat_and_seed_reach_the_draw(folder):
    model = Model.load(folder, dtype="fp32")
    found = {model.generate(ASKED, max_tokens=8, temperature=1.5, seed=seed).ids for seed in range(6)}
    assert len(found) > 1
    assert model.generate(ASKED, max_tokens=8, temperature=1.5, seed=3) == model.generate(
        ASKED, max_tokens=8, temperature=1.5, seed=3
    )


def test_the_asked_for_precision_is_the_model_s(folder):
    assert Model.load(folder, dtype="bf16").engine.model.compute_dtype is torch.bfloat16


def test_a_checkpoint_of_another_markup_is_refused(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    said = json.loads((tmp_path / "whorl.json").read_text())
    said["extra"]["renderer"] = "0" * 64
    (tmp_path / "whorl.json").write_text(json.dumps(said))
    with pytest.raises(ArtifactError, match="trained with renderer 000000000000"):
        Model.load(tmp_path, dtype="fp32")


def test_a_mapping_that_is_no_message_is_refused(folder):
    with pytest.raises(UsageError, match=r"keys \['content', 'name', 'role'\]"):
        Model.load(folder, dtype="fp32").generate([{"role": "user", "content": "a", "name": "b"}])


def test_an_answer_that_cannot_fit_is_refused(folder):
    with pytest.raises(DataError, match="context is 64"):
        Model.load(folder, dtype="fp32").generate(ASKED, max_tokens=64)
