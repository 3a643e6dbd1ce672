import math

import pytest
import torch
from toy_training import MODEL

from whorl.core.seed import Seed
from whorl.model.cross_entropy import token_logprobs
from whorl.model.families import Family
from whorl.model.transformer import Transformer
from whorl.train.objectives import Material, Objective
from whorl.train.validate import held_out

KINDS = {"next_token": "tokens", "sft": "dialogues"}


def material(ground, name="next_token", **fields):
    objective = Objective.model_validate({"use": name, **fields})
    return objective.material(ground.artifact(KINDS[name]).path, "held_out", ground.tokenizer)


def model_of(ground, width=256):
    model = Transformer.fresh(Family.model_validate(MODEL).configure(ground.tokenizer.size, width), Seed(1))
    with torch.no_grad():
        model.embed.weight.mul_(5)
    return model


@pytest.mark.parametrize("name", KINDS)
def test_a_model_that_guesses_needs_log_of_the_vocabulary_for_every_token_but_the_ends(ground, name):
    read = material(ground, name)
    watched = held_out(read, count=3, end=ground.tokenizer.end, rows=2, width=64)
    num_tokens = 0
    for index in range(3):
        ids, weights = read.sequences.ids(index)[1:], read.sequences.weights(index)[1:]
        num_tokens += int(((weights > 0) & (ids != ground.tokenizer.end)).sum())
    bits = num_tokens * math.log2(ground.tokenizer.size) / sum(map(read.num_bytes, range(3)))
    guessing = Transformer(Family.model_validate(MODEL).configure(ground.tokenizer.size, 64))
    assert watched.bits_per_byte(guessing) == pytest.approx(bits, rel=1e-5)


def test_documents_that_fit_a_row_are_measured_as_if_each_were_read_alone(ground):
    read, model, end = material(ground), model_of(ground), ground.tokenizer.end
    nats = 0.0
    for index in range(4):
        ids = torch.tensor(read.sequences.ids(index).astype("int64"))
        logprobs = token_logprobs(model(ids[None, :-1])[0], model.head_weight, targets=ids[1:])
        nats -= float(logprobs[ids[1:] != end].sum())
    watched = held_out(read, count=4, end=end, rows=3, width=256)
    assert watched.bits_per_byte(model) == pytest.approx(nats / math.log(2) / sum(map(read.num_bytes, range(4))), rel=1e-5)


def test_rows_per_pass_do_not_change_the_measure(ground):
    read, model = material(ground), model_of(ground)
    figures = [
        held_out(read, count=8, end=ground.tokenizer.end, rows=rows, width=24).bits_per_byte(model) for rows in (1, 3, 16)
    ]
    assert figures == pytest.approx([figures[0]] * 3, rel=1e-5)


def test_what_is_too_long_for_a_row_and_may_not_be_cut_is_not_watched_and_its_bytes_do_not_count(ground):
    read = material(ground, "sft", on_long="skip")
    lengths = read.sequences.lengths()
    width = int(lengths.max()) - 1
    watched = held_out(read, count=5, end=ground.tokenizer.end, rows=2, width=width)
    assert watched.num_bytes == sum(read.num_bytes(index) for index, length in enumerate(lengths) if length <= width)


def test_no_held_out_text_is_nothing_to_watch(ground):
    objective = Objective.model_validate({"use": "next_token"})
    nothing: Material = objective.material(ground.root / "tokens", "exam", ground.tokenizer)
    assert held_out(nothing, count=5, end=1, rows=2, width=8) is None
