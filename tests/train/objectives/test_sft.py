import pytest

from whorl.core.errors import DataError
from whorl.core.seed import Seed
from whorl.train.objectives import Objective


def sft(ground, part="train", **fields):
    return Objective.model_validate({"use": "sft", **fields}).material(ground.root / "dialogues", part, ground.tokenizer)


def test_what_the_assistant_says_and_its_end_is_trained_and_nothing_else(ground):
    batch = sft(ground, "held_out").loader(rows=8, width=48, seed=Seed(0)).batch(0)
    trained = ground.tokenizer.decode(batch.targets[batch.weights > 0])
    for answer in ("the the<|end|>", "the<|end|>", "loom loom<|end|>", "into into<|end|>"):
        assert answer in trained
    for read_only in ("say", "again", "<|user|>", "<|assistant|>", "<|bos|>"):
        assert read_only not in trained


def test_the_bytes_are_what_the_assistant_says(ground):
    said = sft(ground, "held_out").num_bytes
    assert [said(index) for index in range(5)] == [
        len("the the") + len("the"),  # its first and fourth dialogue have a second answer
        len("loom loom"),
        len("weaves weaves"),
        len("thread thread") + len("thread"),
        len("into into"),
    ]


def test_a_dialogue_longer_than_a_row_fails_is_skipped_or_is_split_as_told(ground):
    lengths = sft(ground).sequences.lengths()
    width = int(lengths.max()) - 1
    with pytest.raises(DataError, match="do not fit a row"):
        sft(ground).loader(rows=2, width=width, seed=Seed(0))
    assert sft(ground, on_long="skip").loader(rows=2, width=width, seed=Seed(0)).too_long == int((lengths > width).sum())
    assert sft(ground, on_long="split").loader(rows=2, width=width, seed=Seed(0)).num_tokens == int(lengths.sum())
