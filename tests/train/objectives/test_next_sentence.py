import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from gap_ground import packed
from toy_training import BERT, PAIRS, WORDS, fit

from whorl.core.errors import ConfigError
from whorl.core.seed import Seed
from whorl.model.families import Family
from whorl.model.mask import MaskSpec
from whorl.model.transformer import Transformer
from whorl.tokens.shards import TOKENIZER_FOLDER
from whorl.tokens.tokenizer import Tokenizer
from whorl.train.data import to_rows
from whorl.train.objectives import Objective

PAIRED = Objective.model_validate({"use": "next_sentence"})


def model_of(size):
    return Transformer.fresh(Family.model_validate({**BERT, "next_sentence": True}).configure(size, 64), Seed(1))


def batch_of(ground, rows=6, seed=0):
    folder = ground.root / "gaps"
    tokenizer = Tokenizer.load(folder / TOKENIZER_FOLDER)
    raw = PAIRED.material(folder, "train", tokenizer).loader(rows=rows, width=64, seed=Seed(0)).batch(0)
    return PAIRED.prepared(raw, Seed(seed).generator(), tokenizer), tokenizer


def test_the_mean_loss_is_the_mean_over_hidden_tokens_plus_the_mean_over_pairs(ground):
    """The loop divides the sum by the number of targets; BERT adds two means."""
    batch, tokenizer = batch_of(ground)
    rows, model = to_rows(batch, torch.device("cpu")), model_of(tokenizer.size)
    together = PAIRED.loss(model, rows) / batch.num_targets
    gaps_alone = PAIRED.loss(model, replace(rows, label_weight=0.0)) / batch.num_targets
    asked = rows.labels >= 0
    hidden = model(rows.ids, mask=MaskSpec(docs=rows.docs), positions=rows.positions, segments=rows.segments)
    assert asked.sum() >= 6
    pairs_alone = torch.nn.functional.cross_entropy(model.classify(hidden[asked]), rows.labels[asked])
    torch.testing.assert_close(together - gaps_alone, pairs_alone)
    assert batch.label_weight == batch.num_targets / int(asked.sum())


def test_special_tokens_are_never_hidden_in_pairs(ground):
    batch, tokenizer = batch_of(ground)
    assert not np.isin(batch.targets[batch.weights > 0], tokenizer.special_ids).any()
    opens = batch.labels >= 0
    assert (batch.ids[opens] == tokenizer.bos).all()


def test_pairs_of_one_document_have_no_label_and_the_rest_is_trained(ground):
    batch, tokenizer = batch_of(ground, rows=1)
    assert len(set(batch.doc_ids[0])) == 1
    rows, model = to_rows(batch, torch.device("cpu")), model_of(tokenizer.size)
    assert (rows.labels == -1).all()
    assert PAIRED.loss(model, rows) > 0


def test_a_model_that_cannot_judge_pairs_is_refused_with_what_to_write():
    for model in ({"use": "bert", "depth": 1}, {"use": "modernbert", "depth": 1}):
        with pytest.raises(ConfigError, match=r"model: \{use: bert, next_sentence: true\}"):
            PAIRED.check_model(Family.model_validate(model).configure(300, 64))


def test_a_model_learns_to_tell_what_follows(ground):
    """Documents of one word each: whether the second segment follows can be told, and only from both segments."""
    tokenizer = batch_of(ground)[1]
    words = [tokenizer.encode(f" {word}")[:1] for word in WORDS]
    model = model_of(tokenizer.size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(250):
        draw = Seed(step).child("words").generator()
        rows = [[[0, *words[draw.integers(len(words))] * 8, 1] for _ in range(3)] for _ in range(16)]
        prepared = PAIRED.prepared(packed(rows, 30), Seed(step).child("gaps").generator(), tokenizer)
        batch = to_rows(prepared, torch.device("cpu"))
        optimizer.zero_grad()
        (PAIRED.loss(model, batch) / prepared.num_targets).backward()
        optimizer.step()
    with torch.no_grad():
        hidden = model(batch.ids, mask=MaskSpec(docs=batch.docs), positions=batch.positions, segments=batch.segments)
        asked = batch.labels >= 0
        is_right = model.classify(hidden[asked]).argmax(dim=-1) == batch.labels[asked]
    assert is_right.float().mean() > 0.9  # a word drawn twice looks as if it followed: 1 of 28 cannot be told


def test_a_fit_keeps_the_heads_of_both_tasks(ground, tmp_path):
    counts = fit(**PAIRS, length="12 steps", rows=8, optimizer={"use": "adamw"}).run(ground.job(tmp_path))
    told = json.loads((tmp_path / "checkpoint" / "training.json").read_text())
    assert told["objective"] == "next_sentence"
    assert counts["held_out_masked_bits_per_byte"] < told["held_out_masked_bits_per_byte"][0][1]
    fields = json.loads((tmp_path / "checkpoint" / "config.json").read_text())
    assert fields["architectures"] == ["BertForPreTraining"]
