import torch
from toy_training import text

from whorl.core.seed import Seed
from whorl.train.data import to_rows
from whorl.train.objectives import Objective


def test_every_token_but_the_first_of_each_document_is_a_target_once_an_epoch(ground):
    material = Objective.model_validate({"use": "next_token"}).material(ground.root / "tokens", "train", ground.tokenizer)
    loader = material.loader(rows=4, width=16, seed=Seed(0))
    num_targets = sum(loader.batch(step).num_targets for step in range(loader.steps_per_epoch))
    assert num_targets == int((material.sequences.lengths() - 1).sum())


def test_the_bytes_are_those_of_the_documents(ground):
    material = Objective.model_validate({"use": "next_token"}).material(ground.root / "tokens", "held_out", ground.tokenizer)
    assert [material.num_bytes(index) for index in range(8)] == [len(text(number)) for number in range(1000, 1008)]


def test_a_document_longer_than_a_row_is_cut_and_not_dropped(ground):
    material = Objective.model_validate({"use": "next_token"}).material(ground.root / "tokens", "train", ground.tokenizer)
    longest = int(material.sequences.lengths().max())
    loader = material.loader(rows=1, width=longest - 1, seed=Seed(0))
    read = sum(int((to_rows(loader.batch(s), torch.device("cpu")).docs >= 0).sum()) for s in range(loader.steps_per_epoch))
    assert read == int(material.sequences.lengths().sum())
