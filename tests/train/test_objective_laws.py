"""Laws of every objective behind the door, on a toy model in float32."""

import pytest
import torch
from toy_training import MODEL

from whorl.core.seed import Seed
from whorl.model.families import Family
from whorl.model.transformer import Transformer
from whorl.train.data import Rows, to_rows
from whorl.train.objectives import Objective

NAMES = Objective.names()
WIDTH = 40
CLOSE = {"rtol": 1e-5, "atol": 1e-5}  # float32 sums of a few hundred terms in another order


@pytest.fixture
def model(ground):
    config = Family.model_validate(MODEL).configure(ground.tokenizer.size, 64)
    model = Transformer.fresh(config.model_copy(update={"zero_outputs": False}), Seed(1))
    with torch.no_grad():  # a fresh model with tiny weights hardly mixes positions; leaks would drown in rounding
        for parameter in model.parameters():
            parameter.mul_(4 if parameter.ndim == 2 else 1)
    return model


def material(name, ground):
    objective = Objective.model_validate({"use": name})
    return objective, objective.material(ground.artifact(objective.reads).path, "train", ground.tokenizer)


def rows_of(name, ground, count=6):
    objective, read = material(name, ground)
    return objective, to_rows(read.loader(rows=count, width=WIDTH, seed=Seed(3)).batch(0), torch.device("cpu"))


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


def padded(rows, below, right):
    """The same rows with places added that hold nothing."""

    def grow(tensor, fill):
        return torch.nn.functional.pad(tensor, (0, right, 0, below), value=fill)

    return Rows(*(grow(getattr(rows, f), -1 if f == "docs" else 0) for f in ("ids", "targets", "weights", "docs", "positions")))


@pytest.mark.parametrize("name", NAMES)
def test_loss_and_gradient_are_finite_and_not_zero(name, ground, model):
    objective, rows = rows_of(name, ground)
    loss, gradient = gradients(objective, model, rows)
    assert torch.isfinite(loss)
    assert loss > 0
    assert all(torch.isfinite(g).all() and g.abs().sum() > 0 for g in gradient.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_guess_among_all_ids_costs_log_of_their_number(name, ground):
    objective, rows = rows_of(name, ground)
    config = Family.model_validate(MODEL).configure(ground.tokenizer.size, 64)
    num_targets = int((rows.weights > 0).sum())
    loss = objective.loss(Transformer(config), rows).detach()  # all weights are zero
    assert float(loss) == pytest.approx(num_targets * torch.tensor(float(ground.tokenizer.size)).log().item(), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_masked_tokens_have_no_gradient(name, ground, model):
    objective, rows = rows_of(name, ground)
    kept = []
    model.register_forward_hook(lambda _, __, hidden: (hidden.retain_grad(), kept.append(hidden))[0])
    objective.loss(model, rows).backward()
    slopes = kept[0].grad.abs().sum(dim=-1)
    assert (slopes[rows.weights == 0] == 0).all()
    assert (slopes[rows.weights > 0] > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_target_of_a_masked_token_means_nothing(name, ground, model):
    objective, rows = rows_of(name, ground)
    other = torch.where(rows.weights == 0, 5, rows.targets)
    changed = Rows(rows.ids, other, rows.weights, rows.docs, rows.positions)
    same(gradients(objective, model, rows), gradients(objective, model, changed))


@pytest.mark.parametrize("name", NAMES)
def test_padding_changes_nothing(name, ground, model):
    objective, rows = rows_of(name, ground)
    same(gradients(objective, model, rows), gradients(objective, model, padded(rows, below=2, right=9)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1, 2, 4, 5])
def test_micro_batches_sum_to_the_big_batch(name, size, ground, model):
    objective, rows = rows_of(name, ground)
    same(gradients(objective, model, rows), gradients(objective, model, *rows.split(size)))


@pytest.mark.parametrize("name", NAMES)
def test_packed_documents_are_trained_as_if_each_were_alone(name, ground, model):
    objective, read = material(name, ground)
    short = [index for index, length in enumerate(read.sequences.lengths()) if length <= WIDTH // 2][:4]
    alone = [one_row(read.sequences, [index]) for index in short]
    packed = [one_row(read.sequences, short[:2]), one_row(read.sequences, short[2:])]
    same(gradients(objective, model, *alone), gradients(objective, model, *packed))


def one_row(sequences, indices):
    """Documents side by side in one row, laid out by hand."""
    columns = {"ids": [], "targets": [], "weights": [], "docs": [], "positions": []}
    for number, index in enumerate(indices):
        ids, weights = sequences.ids(index).tolist(), sequences.weights(index).tolist()
        columns["ids"] += ids
        columns["targets"] += [*ids[1:], 0]
        columns["weights"] += [*weights[1:], 0.0]
        columns["docs"] += [number] * len(ids)
        columns["positions"] += range(len(ids))
    return Rows(**{name: torch.tensor([values]) for name, values in columns.items()})
