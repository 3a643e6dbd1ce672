"""What verbs that speak ask of a real model: guesses change nothing, a search finds the likeliest answers."""

import json

import pytest
import torch

from whorl.core.seed import Seed
from whorl.infer.answer import Model
from whorl.infer.beam import Beam, beam_search
from whorl.infer.pays import StepCosts
from whorl.model import checkpoint
from whorl.model.families import Family
from whorl.model.transformer import Transformer
from whorl.tokens.learn import learn_tokenizer
from whorl.tokens.renderer import Renderer
from whorl.tokens.tokenizer import Tokenizer

WORDS = "the wheel turns the spindle and the spindle turns the whorl "
PROMPTS = [WORDS, WORDS * 2 + "the", "wheel wheel wheel wheel", "the spindle"]
HOT = ["-t", "0.7", "--top-p", "0.95", "--seed", "3"]


def make(root, name, *, seed, text=WORDS):
    torch.set_num_threads(1)
    tokenizer = learn_tokenizer([text * 3] * 20, size=300)
    tokenizer.save(root / f"{name}-vocabulary")
    config = Family.model_validate({"use": "llama", "depth": 1, "width": 64}).configure(tokenizer.size, 128)
    drawn = Transformer.fresh(config.model_copy(update={"zero_outputs": False, "init_std": 0.1}), Seed(seed))
    vocabulary = root / f"{name}-vocabulary"
    extra = {"renderer": Renderer(Tokenizer.load(vocabulary)).fingerprint}
    checkpoint.save(root / name, drawn, family="llama", tokenizer_folder=vocabulary, extra=extra)
    return root / name


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A model, another of its vocabulary, and one of another vocabulary."""
    root = tmp_path_factory.mktemp("speaking")
    return {
        "large": make(root, "large", seed=1),
        "small": make(root, "small", seed=2),
        "other": make(root, "other", seed=3, text="raw pages come in and a clean corpus goes out "),
    }


@pytest.fixture
def said(shell, models, monkeypatch, tmp_path):
    """Lines of JSON to all prompts by the larger model; guesses are always worth their time."""
    monkeypatch.setattr(StepCosts, "measured", lambda step, opener: StepCosts((1, 17), (1.0, 1.0)))
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": prompt, "id": str(place)}) + "\n" for place, prompt in enumerate(PROMPTS)))
    fixed = ["--prompts", str(path), "--model", str(models["large"]), "--weights", "fp32", "--max-tokens", "40", "--json"]

    def ask(*options):
        done = shell("generate", *fixed, *options)
        assert done.code == 0, done.err
        return done.lines

    return ask


def counts(lines):
    return sum(line["num_drafted"] for line in lines), sum(line["num_accepted"] for line in lines)


def ids(lines):
    return [[token["id"] for token in line["tokens"]] for line in lines]


@pytest.mark.parametrize("drawing", [[], HOT], ids=["greedy", "hot"])
@pytest.mark.parametrize("drafts", ["text", "small", "large"])
def test_guesses_leave_answers_as_they_are(said, models, drawing, drafts):
    plain = said(*drawing, "--logprobs", "1")
    guessed = said(*drawing, "--logprobs", "1", "--drafts", drafts if drafts == "text" else str(models[drafts]))
    assert ids(guessed) == ids(plain)
    assert [(one["text"], one["finish"]) for one in guessed] == [(one["text"], one["finish"]) for one in plain]
    assert counts(plain) == (0, 0)
    num_drafted, num_accepted = counts(guessed)
    assert num_drafted > 0
    assert num_accepted <= num_drafted
    if drafts == "large" and not drawing:
        assert num_accepted == num_drafted, "a model agrees with itself"


def test_a_conversation_is_the_same_with_guesses(shell, models, monkeypatch):
    monkeypatch.setattr(StepCosts, "measured", lambda step, opener: StepCosts((1, 17), (1.0, 1.0)))
    fixed = ["chat", str(models["large"]), "--once", WORDS, "--weights", "fp32", "--max-tokens", "40", "--json"]
    plain = shell(*fixed).document
    guessed = shell(*fixed, "--drafts", "text").document
    assert guessed["num_drafted"] > 0
    assert {**guessed, "num_drafted": 0, "num_accepted": 0} == plain


def test_guesses_of_another_vocabulary_are_refused(shell, models):
    large, other = str(models["large"]), str(models["other"])
    found = shell("generate", "the", "--model", large, "--drafts", other)
    assert (found.code, f"{other}: its vocabulary is" in found.err) == (3, True)
    assert "want a smaller model of the same vocabulary, or guesses from the text" in found.err
    missing = shell("generate", "the", "--model", large, "--drafts", "nobody")
    assert (missing.code, "nobody" in missing.err) == (1, True)


def test_a_search_finds_what_the_engine_finds_best_first(said, models):
    lines = said("--beams", "3", "-n", "2", "--max-tokens", "6", "--length-penalty", "0.5")
    model = Model.load(models["large"], dtype="fp32")
    assert len(lines) == 2 * len(PROMPTS)
    for place, prompt in enumerate(PROMPTS):
        best = beam_search(model.engine, model.prompt(prompt), Beam(3, 6, 2, 0.5))
        own = lines[2 * place : 2 * place + 2]
        assert [line["score"] for line in own] == pytest.approx([one.score for one in best], abs=1e-4)
        assert [line["num_tokens"] for line in own] == [len(one.ids) for one in best]
        texts = [
            model.renderer.tokenizer.decode([one for one in each.ids if one not in model.engine.stop_ids]) for each in best
        ]
        assert [line["text"] for line in own] == texts
        assert own[0]["score"] >= own[1]["score"]
