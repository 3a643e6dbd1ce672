import numpy as np
import pytest
from toy_training import fit

from whorl.train.target_bytes import TargetBytes


@pytest.fixture(scope="module")
def material(ground):
    return fit().objective.material(ground.root / "tokens", "train", ground.tokenizer)


def test_an_epoch_spells_every_byte_of_the_corpus(ground, material):
    loader = fit().feed(ground.job(ground.root / "bytes").inputs, ground.job(ground.root / "bytes").seed).loader
    counted = TargetBytes.open(ground.tokenizer, [material])
    assert counted.mode == "exact"
    total = sum(counted.of(loader.batch(step)) for step in range(loader.steps_per_epoch))
    assert total == sum(material.num_bytes(index) for index in range(len(material.sequences)))


def test_places_without_loss_and_markers_spell_nothing(ground, material):
    counted = TargetBytes.open(ground.tokenizer, [material])
    batch = material.loader(rows=2, width=32, seed=ground.job(ground.root / "bytes").seed).batch(0)
    text = batch.targets[batch.weights != 0]
    spelt = ground.tokenizer.decode(text[text != ground.tokenizer.end])
    assert counted.of(batch) == len(spelt.encode()) > 0
    batch.weights[:] = 0
    assert counted.of(batch) == 0


def test_a_vocabulary_that_does_not_tell_gets_the_mean_of_the_corpus(ground, material):
    mean = TargetBytes(None, 2.5)
    batch = material.loader(rows=2, width=32, seed=ground.job(ground.root / "bytes").seed).batch(0)
    assert mean.mode == "corpus mean"
    assert mean.of(batch) == 2.5 * np.count_nonzero(batch.weights)


def test_the_mean_is_text_bytes_over_targets(ground, material, monkeypatch):
    monkeypatch.setattr("whorl.train.target_bytes.TextBytes", lambda tokenizer: type("Dumb", (), {"by_id": None}))
    found = TargetBytes.open(ground.tokenizer, [material])
    lengths = material.sequences.lengths()
    assert found.mean == sum(map(material.num_bytes, range(len(lengths)))) / (lengths.sum() - len(lengths))
