import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from toy_training import GAPS, fit

from whorl.core.errors import ConfigError
from whorl.core.seed import Seed
from whorl.model import checkpoint
from whorl.model.families import Family
from whorl.model.mask import MaskSpec
from whorl.model.transformer import Transformer
from whorl.tokens.shards import TOKENIZER_FOLDER
from whorl.tokens.tokenizer import Tokenizer
from whorl.train.data import to_rows
from whorl.train.objectives import Objective

MASKED = Objective.model_validate({"use": "masked"})


def read(ground, part="train"):
    folder = ground.root / "gaps"
    tokenizer = Tokenizer.load(folder / TOKENIZER_FOLDER)
    return MASKED.material(folder, part, tokenizer), tokenizer


def test_every_step_hides_its_share_of_each_document_of_a_packed_row(ground):
    material, tokenizer = read(ground)
    loader = material.loader(rows=4, width=64, seed=Seed(0))
    batches = [loader.batch(step) for step in range(loader.steps_per_epoch)]
    hidden = [MASKED.prepared(batch, Seed(step).generator(), tokenizer) for step, batch in enumerate(batches)]
    num_text = sum(int((~np.isin(batch.ids, tokenizer.special_ids) & (batch.docs >= 0)).sum()) for batch in batches)
    assert sum(batch.num_targets for batch in hidden) / num_text == pytest.approx(0.3, abs=0.01)
    assert not any(np.isin(batch.targets[batch.weights > 0], tokenizer.special_ids).any() for batch in hidden)


def test_the_loss_is_that_of_the_full_logits_at_hidden_places(ground):
    material, tokenizer = read(ground)
    batch = MASKED.prepared(material.loader(rows=3, width=40, seed=Seed(1)).batch(0), Seed(2).generator(), tokenizer)
    rows = to_rows(batch, torch.device("cpu"))
    config = Family.model_validate({"use": "modernbert", "depth": 2, "width": 32, "heads": 2}).configure(tokenizer.size, 64)
    model = Transformer.fresh(config, Seed(1))
    with torch.no_grad():
        model.head_bias.copy_(torch.linspace(-1, 1, tokenizer.size))
    from_both_sides = MASKED.loss(model, rows)
    logits = model.head(model(rows.ids, mask=MaskSpec(docs=rows.docs), positions=rows.positions))
    is_target = rows.weights > 0
    wanted = torch.nn.functional.cross_entropy(logits[is_target], rows.targets[is_target], reduction="sum")
    torch.testing.assert_close(from_both_sides, wanted)


def test_a_step_in_which_nothing_is_hidden_costs_nothing_and_moves_nothing(ground):
    material, tokenizer = read(ground)
    batch = material.loader(rows=2, width=40, seed=Seed(1)).batch(0)
    nothing = to_rows(MASKED.prepared(batch, Seed(0).generator(), tokenizer), torch.device("cpu"))
    nothing = type(nothing)(nothing.ids, nothing.targets, torch.zeros_like(nothing.weights), nothing.docs, nothing.positions)
    config = Family.model_validate({"use": "modernbert", "depth": 1, "width": 32, "heads": 2}).configure(tokenizer.size, 64)
    model = Transformer.fresh(config, Seed(1))
    loss = MASKED.loss(model, nothing)
    loss.backward()
    assert loss == 0
    assert all((parameter.grad == 0).all() for parameter in model.parameters())


def test_a_vocabulary_without_a_mask_is_refused_before_anything_is_read(ground):
    with pytest.raises(ConfigError, match="learn it with mask: true"):
        MASKED.material(ground.root / "tokens", "train", ground.tokenizer)


def test_a_fit_that_could_not_work_is_refused_before_the_first_step(ground, tmp_path):
    with pytest.raises(ConfigError, match="learn it with mask: true"):
        fit(**{**GAPS, "data": "ids"}).run(ground.job(tmp_path / "a"))
    with pytest.raises(ConfigError, match="fills gaps from both sides, but the model is causal"):
        fit(objective={"use": "masked"}, data="gaps").run(ground.job(tmp_path / "b"))
    with pytest.raises(ConfigError, match="which this model can see"):
        fit(**{**GAPS, "objective": {"use": "next_token"}}).run(ground.job(tmp_path / "c"))


def test_a_fit_learns_to_fill_gaps_and_names_its_measure(ground, tmp_path):
    stage = fit(**GAPS, length="60 steps", rows=8, optimizer={"use": "adamw"}, watch={"every": 60, "documents": 8})
    counts = stage.run(ground.job(tmp_path))
    told = json.loads((tmp_path / "checkpoint" / "training.json").read_text())
    looks = told["held_out_masked_bits_per_byte"]
    assert "held_out_bits_per_byte" not in {*counts, *told}, "bits of hidden bytes are not bits of text"
    assert looks[-1][1] < 0.8 * looks[0][1]
    assert counts["held_out_masked_bits_per_byte"] == looks[-1][1]
    loaded = checkpoint.load(tmp_path / "checkpoint")
    assert (loaded.family, loaded.config.causal) == ("bert", False)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"rate": 0}, "greater than 0"),
        ({"rate": 1}, "less than 1"),
        ({"random": 0.6, "keep": 0.5}, r"random=0\.6 and keep=0\.5 of what is hidden; want at most 1 together"),
    ],
)
def test_shares_that_make_no_sense_are_refused(fields, complaint):
    with pytest.raises(ValidationError, match=complaint):
        Objective.model_validate({"use": "masked", **fields})


def test_a_head_that_gaps_never_reach_is_refused_with_the_objective_that_does():
    config = Family.model_validate({"use": "bert", "depth": 1, "next_sentence": True}).configure(300, 64)
    with pytest.raises(ConfigError, match="objective masked would never train the model's 2 classes"):
        MASKED.check_model(config)


def test_the_default_share_is_that_of_modernbert_and_of_bert_in_pairs():
    assert (MASKED.rate, Objective.model_validate({"use": "next_sentence"}).rate) == (0.3, 0.15)
    assert (MASKED.random, MASKED.keep) == (0.1, 0.1)
