import json
import re

import pytest
import torch

from whorl.core.errors import ArtifactError, DataError, UsageError
from whorl.core.records import Message
from whorl.core.seed import Seed
from whorl.infer.answer import Asked, Model
from whorl.infer.beam import Beam, beam_search
from whorl.infer.pays import StepCosts
from whorl.infer.request import Sampling
from whorl.infer.setup import Setup
from whorl.infer.structure import Structure
from whorl.model import checkpoint
from whorl.model.families import Family
from whorl.model.transformer import Transformer
from whorl.tokens.learn import learn_tokenizer
from whorl.tokens.renderer import Renderer
from whorl.tokens.tokenizer import Tokenizer

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
    assert (found.num_prompt, found.logprobs) == (len(model.renderer.prompt(ASKED)), pytest.approx(said.logprobs, abs=1e-5))


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


def asked(model, text="turn the wheel", **sampling):
    return Asked(model.prompt(text), Sampling(**{"max_tokens": 16, **sampling}))


def streamed(model, one):
    pieces = list(model.stream(one))
    assert all(piece.text for piece in pieces[:-1])
    assert [piece.whole is None for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    assert "".join(piece.text for piece in pieces) == pieces[-1].whole.text
    return pieces


@pytest.fixture(scope="module")
def model(folder):
    return Model.load(folder, dtype="fp32")


@pytest.mark.parametrize("seed", range(8))
def test_an_answer_comes_in_pieces_that_add_up_to_the_whole_one(model, seed):
    one = asked(model, temperature=1.5, seed=seed)
    pieces = streamed(model, one)
    (whole,) = model.answers([one])
    assert (pieces[-1].whole.text, pieces[-1].whole.ids) == (whole.text, whole.ids)
    assert whole.text == model.renderer.tokenizer.decode([token for token in whole.ids if token not in model.engine.stop_ids])
    assert len(pieces) > 2


@pytest.mark.parametrize("seed", range(8))
def test_an_answer_ends_before_its_stop_string_wherever_tokens_are_cut(model, seed):
    (free,) = model.answers([asked(model, temperature=1.5, seed=seed)])
    stop = re.findall("[^\ufffd]{2}", free.text)[-1]  # two whole characters
    pieces = streamed(model, asked(model, temperature=1.5, seed=seed, stop=(stop, "never said")))
    whole = pieces[-1].whole
    assert whole.finish == "stop"
    assert whole.text == free.text[: free.text.index(stop)]
    assert whole.ids == free.ids[: len(whole.ids)]


def test_answers_keep_the_order_of_the_questions_however_long_they_are(folder):
    model = Model.load(folder, dtype="fp32", setup=Setup(rows=2))
    texts = ["the wheel", "the spindle turns", "whorl", "a", "turns the wheel", "b", "c", "the"]
    limits = [16, 1, 9, 2, 30, 3, 4, 5]
    many = [asked(model, text, max_tokens=limit) for text, limit in zip(texts, limits, strict=True)]
    read = []
    answers = model.answers(read.append(one) or one for one in many)
    first = next(answers)
    assert len(read) <= 2 * 2 + 1  # questions are read as they are needed
    found = [first, *answers]
    alone = [next(model.answers([one])) for one in many]
    assert [(one.text, one.ids) for one in found] == [(one.text, one.ids) for one in alone]
    assert model.engine.is_idle


def test_a_prompt_that_is_asked_several_times_in_a_row_is_computed_once(folder):
    model = Model.load(folder, dtype="fp32", setup=Setup(block_size=8))
    one = asked(model, "the wheel turns the spindle and the spindle turns the whorl", temperature=1.5)
    many = [one._replace(seed=seed) for seed in range(5)]
    found = list(model.answers(many))
    assert [whole.num_cached for whole in found] == [0] + [(len(one.prompt) - 1) // 8 * 8] * 4
    assert [whole.ids for whole in found] == [next(Model.load(folder, dtype="fp32").answers([each])).ids for each in many]
    assert len({whole.ids for whole in found}) > 1


def test_one_who_stops_reading_gives_up_what_is_under_way(model):
    answers = model.answers(asked(model, max_tokens=40) for _ in range(5))
    next(answers)
    answers.close()
    stream = model.stream(asked(model, max_tokens=40))
    next(stream)
    stream.close()
    assert model.engine.is_idle
    assert not model._open
    model.engine.check()


def test_two_who_ask_at_once_each_hear_their_own(model):
    ones = [asked(model, "the wheel", temperature=1.0, seed=1), asked(model, "whorl", temperature=1.0, seed=2)]
    alone = [next(model.answers([one])).text for one in ones]
    first, second = (model.stream(one) for one in ones)
    texts = [next(first).text, next(second).text]
    texts[0] += "".join(piece.text for piece in first)
    texts[1] += "".join(piece.text for piece in second)
    assert texts == alone


def test_an_answer_keeps_to_its_structure(model):
    one = asked(model, temperature=2.0)
    (chosen,) = model.answers([one._replace(form=Structure.choice(["turn left", "turn right"]))])
    assert chosen.text in ("turn left", "turn right")
    assert chosen.finish == "stop"
    matched = streamed(model, one._replace(form=Structure.regex("[0-9]{3}-[a-f]{2}")))[-1].whole
    assert re.fullmatch("[0-9]{3}-[a-f]{2}", matched.text)
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": False}
    (whole,) = model.answers([Asked(one.prompt, Sampling(40), form=Structure.schema(schema))])
    assert set(json.loads(whole.text)) == {"ok"}


def test_the_likeliest_tokens_are_told_where_they_are_asked_for(model):
    (whole,) = model.answers([asked(model, logprobs=3)])
    assert [len(top) for top in whole.top] == [3] * len(whole.ids)
    assert [top[0][0] for top in whole.top] == list(whole.ids)  # greedy
    assert [top[0][1] for top in whole.top] == pytest.approx(whole.logprobs, abs=1e-5)


def test_a_vocabulary_without_bytes_speaks_but_knows_no_stop_strings_and_no_structures(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    said = json.loads((tmp_path / "tokenizer.json").read_text())
    said["normalizer"] = {"type": "Lowercase"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(said))
    described = json.loads((tmp_path / "whorl.json").read_text())
    described["extra"]["renderer"] = Renderer(Tokenizer.load(tmp_path)).fingerprint
    (tmp_path / "whorl.json").write_text(json.dumps(described))
    lossy, plain = Model.load(tmp_path, dtype="fp32"), Model.load(folder, dtype="fp32")
    assert streamed(lossy, asked(lossy))[-1].whole.text == streamed(plain, asked(plain))[-1].whole.text
    with pytest.raises(UsageError, match="stop strings: the ids of this vocabulary have no bytes"):
        next(lossy.answers([asked(lossy, stop=("a",))]))
    with pytest.raises(UsageError, match="structures: the ids of this vocabulary have no bytes"):
        next(lossy.answers([asked(lossy)._replace(form=Structure.choice(["a", "b"]))]))


def test_a_failed_answer_says_so_and_touches_no_other(folder):
    model = Model.load(folder, dtype="fp32")
    poison = model.renderer.tokenizer.encode("z")[0]
    with torch.no_grad():
        model.engine.model.embed.weight[poison] = float("nan")
    questions = [[poison], model.prompt("the wheel")]
    failed, well = model.answers([Asked(prompt, Sampling(4)) for prompt in questions])
    assert failed.finish == "error"
    assert "not finite" in failed.error
    del well  # the toy's embedding is its output matrix: all figures are broken


def test_a_model_reads_as_its_encoder_does(model):
    texts = [model.prompt("the wheel"), model.prompt("the spindle turns")]
    vectors = model.encoder.embed(texts)
    assert vectors.shape == (2, 64)
    assert model.engine.pad_id == model.renderer.tokenizer.pad


def test_the_likeliest_answers_are_those_of_the_search_as_text(model):
    prompt = model.prompt("the wheel")
    found = model.likeliest(Asked(prompt, Sampling(6)), width=4, n=3, length_penalty=2.0)
    best = beam_search(model.engine, prompt, Beam(4, 6, 3, 2.0))
    assert [(one.whole.ids, one.whole.finish, one.score) for one in found] == [(one.ids, one.finish, one.score) for one in best]
    for one in found:
        said = [token for token in one.whole.ids if token not in model.engine.stop_ids]
        assert one.whole.text == model.renderer.tokenizer.decode(said)
        assert one.score == pytest.approx(sum(one.whole.logprobs) / len(one.whole.ids) ** 2)
        assert one.whole.num_prompt == len(prompt)
    assert model.engine.pool.num_held == 0


@pytest.mark.parametrize("how", [{"temperature": 1.0}, {"stop": ("a",)}, {"repetition_penalty": 2.0}, {"logprobs": 1}])
def test_a_search_refuses_settings_that_it_would_not_follow(model, how):
    with pytest.raises(UsageError, match=r"want Sampling\(max_tokens\) alone"):
        model.likeliest(asked(model, **how), width=2)
    with pytest.raises(UsageError, match="keeps to no structure"):
        model.likeliest(asked(model)._replace(form=Structure.choice(["a", "b"])), width=2)


@pytest.mark.parametrize("from_text", [True, False])
def test_guesses_are_told_and_change_no_answer(folder, model, monkeypatch, from_text):
    monkeypatch.setattr(StepCosts, "measured", lambda step, opener: StepCosts((1, 17), (1.0, 1.0)))
    guessing = Model.load(folder, dtype="fp32", drafts="text" if from_text else folder)
    for text in ("the wheel turns the spindle and the spindle turns the", "wheel wheel wheel"):
        one = asked(model, text, max_tokens=24)
        (plain,), (found,) = model.answers([one]), guessing.answers([one])
        assert (found.text, found.ids, found.finish) == (plain.text, plain.ids, plain.finish)
        assert (plain.num_drafted, plain.num_accepted) == (0, 0)
        assert found.num_drafted >= found.num_accepted
        assert found.num_drafted > 0
        if not from_text:
            assert found.num_accepted == found.num_drafted
