"""Laws of every objective behind the door, on a toy model in float32."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_training import BERT, MODEL

from whorl.core.errors import ConfigError
from whorl.core.seed import Seed
from whorl.model.families import Family
from whorl.model.transformer import Transformer
from whorl.tokens.shards import TOKENIZER_FOLDER
from whorl.tokens.tokenizer import Tokenizer
from whorl.train.data import Rows, to_rows
from whorl.train.objectives import Objective

NAMES = Objective.names()
WIDTH = 40
CLOSE = {"rtol": 1e-5, "atol": 1e-5}  # float32 sums of a few hundred terms in another order
MODELS = {
    "masked": {"use": "modernbert", "depth": 2, "width": 32, "heads": 2, "mlp_width": 64, "window": 8},
    "next_sentence": {**BERT, "next_sentence": True},
}
BATCHED = ("ids", "targets", "weights", "docs", "positions", "segments", "labels")

every_objective = pytest.mark.parametrize("name", NAMES)


def tokenizer_of(name, ground):
    data = ground.data_of(Objective.model_validate({"use": name})).path
    return Tokenizer.load(data / TOKENIZER_FOLDER) if (data / TOKENIZER_FOLDER).is_dir() else ground.tokenizer


def config_of(name, ground):
    return Family.model_validate(MODELS.get(name, MODEL)).configure(tokenizer_of(name, ground).size, 64)


@pytest.fixture
def model(name, ground):
    model = Transformer.fresh(config_of(name, ground).model_copy(update={"zero_outputs": False}), Seed(1))
    with torch.no_grad():  # a fresh model with tiny weights hardly mixes positions; leaks would drown in rounding
        for parameter in model.parameters():
            parameter.mul_(4 if parameter.ndim == 2 else 1)
    return model


def batch_of(name, ground, *, step=0, seed=3, count=6):
    """What is trained on in a step."""
    objective = Objective.model_validate({"use": name})
    read = objective.material(ground.data_of(objective).path, "train", tokenizer_of(name, ground))
    raw = read.loader(rows=count, width=WIDTH, seed=Seed(3)).batch(step)
    return objective, objective.prepared(raw, Seed(seed).child(f"step-{step}").generator(), tokenizer_of(name, ground))


def rows_of(name, ground):
    objective, batch = batch_of(name, ground)
    return objective, to_rows(batch, torch.device("cpu"))


def gradients(objective, model, *pieces):
    """The summed loss of some rows and its gradient."""
    model.zero_grad(set_to_none=True)
    total = torch.stack([objective.loss(model, rows) for rows in pieces]).sum()
    total.backward()
    return total.detach(), {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def same(first, second):
    torch.testing.assert_close(first[0], second[0], **CLOSE)
    for name, gradient in first[1].items():
        torch.testing.assert_close(gradient, second[1][name], rtol=1e-4, atol=1e-4, msg=name)


def changed(rows, change):
    """The same rows with a function done to every array of places."""
    arrays = {field: getattr(rows, field) for field in BATCHED}
    return replace(rows, **{field: change(field, array) for field, array in arrays.items() if array is not None})


def padded(rows, below, right):
    """The same rows with places added that hold nothing."""

    def grow(field, array):
        return torch.nn.functional.pad(array, (0, right, 0, below), value=-1 if field in ("docs", "labels") else 0)

    return changed(rows, grow)


def is_asked(rows):
    """Places with a target or a label."""
    return rows.weights > 0 if rows.labels is None else (rows.weights > 0) | (rows.labels >= 0)


@every_objective
def test_loss_and_gradient_are_finite_and_not_zero(name, ground, model):
    objective, rows = rows_of(name, ground)
    loss, gradient = gradients(objective, model, rows)
    assert torch.isfinite(loss)
    assert loss > 0
    assert all(torch.isfinite(g).all() and g.abs().sum() > 0 for g in gradient.values())


@every_objective
def test_a_guess_among_all_ids_costs_log_of_their_number(name, ground):
    objective, rows = rows_of(name, ground)
    config = config_of(name, ground)
    wanted = int((rows.weights > 0).sum()) * np.log(config.vocab_size)
    if rows.labels is not None:
        wanted += rows.label_weight * int((rows.labels >= 0).sum()) * np.log(config.classes)
    loss = objective.loss(Transformer(config), rows).detach()  # all weights are zero
    assert float(loss) == pytest.approx(wanted, rel=1e-5)


@every_objective
def test_places_that_nothing_is_asked_of_have_no_gradient(name, ground, model):
    objective, rows = rows_of(name, ground)
    kept = []
    model.register_forward_hook(lambda _, __, hidden: (hidden.retain_grad(), kept.append(hidden))[0])
    objective.loss(model, rows).backward()
    slopes = kept[0].grad.abs().sum(dim=-1)
    assert (slopes[~is_asked(rows)] == 0).all()
    assert (slopes[is_asked(rows)] > 0).all()


@every_objective
def test_the_target_of_a_masked_token_means_nothing(name, ground, model):
    objective, rows = rows_of(name, ground)
    other = torch.where(rows.weights == 0, 5, rows.targets)
    same(gradients(objective, model, rows), gradients(objective, model, replace(rows, targets=other)))


@every_objective
def test_padding_changes_nothing(name, ground, model):
    objective, rows = rows_of(name, ground)
    same(gradients(objective, model, rows), gradients(objective, model, padded(rows, below=2, right=9)))


@every_objective
@pytest.mark.parametrize("size", [1, 2, 4, 5])
def test_micro_batches_sum_to_the_big_batch(name, size, ground, model):
    objective, rows = rows_of(name, ground)
    same(gradients(objective, model, rows), gradients(objective, model, *rows.split(size)))


@every_objective
def test_packed_documents_are_trained_as_if_each_were_alone(name, ground, model):
    objective, rows = rows_of(name, ground)
    alone = [one for row in rows.split(1) for one in documents_of(row)]
    assert len(alone) > len(rows.ids), "else nothing was packed"
    same(gradients(objective, model, rows), gradients(objective, model, *alone))


def documents_of(row: Rows):
    """Each document of a row in a row of its own, without padding."""
    for doc in range(int(row.docs.max()) + 1):
        at = row.docs[0] == doc
        yield changed(row, lambda _, array, at=at: array[:, at])


@every_objective
def test_what_is_trained_on_in_a_step_hangs_on_the_seed_and_the_step_alone(name, ground):
    def bytes_of(**place):
        batch = batch_of(name, ground, **place)[1]
        return [getattr(batch, field).tobytes() for field in BATCHED if getattr(batch, field) is not None]

    assert bytes_of(step=1) == bytes_of(step=1)
    assert bytes_of(step=1) != bytes_of(step=0)
    if Objective.model_validate({"use": name}).looks_ahead:
        assert bytes_of(step=1, seed=4) != bytes_of(step=1)


@every_objective
def test_what_is_prepared_reads_the_documents_the_loader_read_and_keeps_its_own_rows(name, ground):
    objective, batch = batch_of(name, ground)
    read = objective.material(ground.data_of(objective).path, "train", tokenizer_of(name, ground))
    raw = read.loader(rows=6, width=WIDTH, seed=Seed(3)).batch(0)
    before = [getattr(raw, field).copy() for field in BATCHED[:5]]
    objective.prepared(raw, Seed(0).generator(), tokenizer_of(name, ground))
    assert all((was == getattr(raw, field)).all() for was, field in zip(before, BATCHED, strict=False)), "written into"
    assert (batch.doc_ids, batch.ids.shape) == (raw.doc_ids, raw.ids.shape)
    assert (batch.docs == raw.docs).all()


@every_objective
def test_a_model_that_sees_too_much_or_too_little_is_refused_before_the_first_step(name, ground):
    objective = Objective.model_validate({"use": name})
    objective.check_model(config_of(name, ground))
    other = Family.model_validate(MODEL if objective.looks_ahead else MODELS["masked"]).configure(300, 64)
    with pytest.raises(ConfigError, match="but the model is causal" if objective.looks_ahead else "this model can see"):
        objective.check_model(other)
