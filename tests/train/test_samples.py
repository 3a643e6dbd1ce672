import pytest
import torch
from toy_training import content, fit

from whorl.core.errors import ConfigError
from whorl.core.seed import Seed
from whorl.infer.engine import Engine, Sampling
from whorl.model.config import ModelConfig
from whorl.model.transformer import Transformer
from whorl.tokens.renderer import Renderer
from whorl.train.samples import Samples

PROMPTS = ("the loom", "wool and", "")


@pytest.fixture(scope="module")
def renderer(ground):
    return Renderer(ground.tokenizer)


@pytest.fixture(scope="module")
def model(ground):
    shape = {"width": 32, "depth": 2, "heads": 2, "kv_heads": 2, "head_dim": 16, "mlp_width": 64, "max_positions": 48}
    return Transformer.fresh(ModelConfig(vocab_size=ground.tokenizer.size, zero_outputs=False, init_std=0.3, **shape), Seed(3))


def said(model, renderer, reads="tokens", **changes):
    samples = Samples(prompts=PROMPTS, tokens=12, **changes)
    return samples.open(model.config, renderer, reads=reads).draw(model)


def test_each_prompt_is_gone_on_with_as_a_document(model, renderer):
    tokenizer = renderer.tokenizer
    ids = [tokenizer.bos, *tokenizer.encode("the loom")]
    (alone,) = Engine(model, stop_ids=renderer.stop_ids, pad_id=tokenizer.pad).generate([ids], Sampling(12))
    drawn = said(model, renderer)
    assert [sample.prompt for sample in drawn] == list(PROMPTS)
    assert drawn[0].text == tokenizer.decode([token for token in alone.ids if token not in renderer.stop_ids])
    assert drawn[0].text


def test_dialogues_are_asked_as_a_user_would(model, renderer):
    as_chat = Samples(prompts=("again",), tokens=4).open(model.config, renderer, reads="dialogues").ids[0]
    assert as_chat[-1] == renderer.tokenizer.role("assistant")
    assert as_chat != Samples(prompts=("again",), tokens=4).open(model.config, renderer, reads="tokens").ids[0]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_same_weights_say_the_same_and_the_run_does_not_notice(model, renderer, temperature):
    model.train()
    model.set_dropout(0.5)
    before = torch.get_rng_state()
    first, second = (said(model, renderer, temperature=temperature) for _ in range(2))
    assert first == second
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    model.set_dropout(0.0)
    assert said(model, renderer, temperature=temperature) == first


def test_what_has_no_room_is_refused_before_training(model, renderer):
    with pytest.raises(ConfigError, match=r"'the loom' is .* tokens, and with tokens=48 more than the model's 48 positions"):
        Samples(prompts=("the loom",), tokens=48).open(model.config, renderer, reads="tokens")


def test_a_model_that_reads_both_sides_is_refused(model, renderer):
    config = model.config.model_copy(update={"causal": False})
    with pytest.raises(ConfigError, match="from both sides"):
        Samples(prompts=("a",)).open(config, renderer, reads="tokens")


def test_no_prompts_at_all_are_refused():
    with pytest.raises(ValueError, match="at least 1 item"):
        Samples(prompts=())


def test_a_run_with_samples_leaves_the_same_bytes_as_one_without(ground, tmp_path):
    told = []
    fit(samples={"prompts": PROMPTS[:2], "tokens": 4}, dropout=0.1).run(ground.job(tmp_path / "with", sinks=[told.append]))
    fit(dropout=0.1).run(ground.job(tmp_path / "without"))
    assert content(tmp_path / "with") == content(tmp_path / "without")
    asked = [(event["step"], event["prompt"]) for event in told if event["kind"] == "sample"]
    assert asked == [(step, prompt) for step in (0, 5, 10, 12) for prompt in PROMPTS[:2]]
