import numpy as np
import pyarrow as pa

from whorl.core.records import Dialogue, Message
from whorl.tokens.renderer import Renderer
from whorl.tokens.sequences import dialogue_sequences, joined_sequences, text_sequences
from whorl.tokens.shards import ShardWriter, TokenShards

DIALOGUES = [
    Dialogue("a", (Message("user", "spin"), Message("assistant", "thread"))),
    Dialogue(
        "b", (Message("user", "loom?"), Message("assistant", "wheel"), Message("user", "and?"), Message("assistant", "no"))
    ),
]


def texts(tokenizer, folder, names=("x", "y", "z")):
    tokenizer.save(folder / "tokenizer")
    with ShardWriter(folder / "train", tokenizer) as writer:
        writer.add(pa.array(names), pa.array([f"the {name} turns" for name in names]))
    return text_sequences(TokenShards.open(folder, "train"))


def test_every_token_of_a_text_weighs_one_and_is_read_from_the_file(tokenizer, tmp_path):
    read = texts(tokenizer, tmp_path)
    assert [read.name(n) for n in range(len(read))] == ["x", "y", "z"]
    assert tokenizer.decode(read.ids(1)) == "<|bos|>the y turns<|end|>"
    assert read.weights(1).tolist() == [1.0] * len(read.ids(1))
    assert len(read.flat_weights) == 0
    assert not read.flat_ids.flags.writeable


def test_a_dialogue_weighs_what_the_renderer_says(tokenizer):
    renderer = Renderer(tokenizer)
    read = dialogue_sequences(DIALOGUES, renderer)
    for number, dialogue in enumerate(DIALOGUES):
        rendered = renderer.render(dialogue.messages)
        assert read.ids(number).tolist() == rendered.ids
        assert read.weights(number).tolist() == [float(trained) for trained in rendered.loss_mask]


def test_chosen_ones_keep_their_order_names_and_ids_without_copying(tokenizer, tmp_path):
    read = texts(tokenizer, tmp_path)
    few = read.chosen([2, 0])
    assert (few.name(0), few.name(1), len(few)) == ("z", "x", 2)
    assert few.ids(0).tolist() == read.ids(2).tolist()
    assert few.flat_ids is read.flat_ids
    assert few.lengths().tolist() == [len(read.ids(2)), len(read.ids(0))]
    assert len(read.chosen([])) == 0


def test_texts_and_dialogues_joined_keep_ids_weights_and_names(tokenizer, tmp_path):
    both = [texts(tokenizer, tmp_path), dialogue_sequences(DIALOGUES, Renderer(tokenizer))]
    joined = joined_sequences(both)
    parts = [(one, number) for one in both for number in range(len(one))]
    assert len(joined) == len(parts)
    for place, (one, number) in enumerate(parts):
        assert joined.name(place) == one.name(number)
        assert joined.ids(place).tolist() == one.ids(number).tolist()
        assert joined.weights(place).tolist() == one.weights(number).tolist()


def test_names_are_found_by_the_column(tokenizer, tmp_path):
    read = texts(tokenizer, tmp_path, names=("x", "y", "x"))
    assert read.numbers("x").tolist() == [0, 2]
    assert read.numbers("nobody").tolist() == []
    assert read.names(np.array([2, 1])) == ["x", "y"]
