"""What is reported is plain cross-entropy whatever is optimised, and heads of every kind are counted whole."""

import pytest
import torch
from torch.nn import functional
from toy_training import MODEL

from whorl.core.seed import Seed
from whorl.model.families import Family
from whorl.model.mask import MaskSpec
from whorl.model.transformer import Transformer
from whorl.train.data import Rows
from whorl.train.nats import summed_nats, watched_nats

END = 3
HEADS = [{}, {"tied": False}, {"head_transform": True, "head_bias": True}]


def drawn_model(**axes):
    config = Family.model_validate(MODEL).configure(40, 16).model_copy(update={"zero_outputs": False, "init_std": 0.3, **axes})
    model = Transformer.fresh(config, Seed(4))
    if model.head_bias is not None:
        torch.nn.init.normal_(model.head_bias, generator=torch.Generator().manual_seed(5))
    return model


def drawn_rows():
    generator = torch.Generator().manual_seed(1)
    ids, targets = torch.randint(0, 40, (2, 2, 9), generator=generator)
    docs = torch.tensor([[0] * 4 + [1] * 5, [0] * 7 + [-1] * 2])
    positions = torch.tensor([[*range(4), *range(5)], [*range(7), 0, 0]])
    weights = (docs >= 0).float() * torch.rand(2, 9, generator=generator).round()
    targets[0, :3] = END
    return Rows(ids, targets, weights, docs, positions)


def logits(model, rows):
    return model.head(model(rows.ids, mask=MaskSpec(docs=rows.docs), positions=rows.positions)).flatten(0, 1)


def gradient(model, loss):
    return torch.autograd.grad(loss, list(model.parameters()), allow_unused=True, materialize_grads=True)


@pytest.mark.parametrize("axes", HEADS)
def test_plain_nats_equal_torch_through_the_whole_head(axes):
    model, rows = drawn_model(**axes), drawn_rows()
    losses = functional.cross_entropy(logits(model, rows), rows.targets.flatten(), reduction="none")
    wanted = (losses * rows.weights.flatten()).sum()
    found = summed_nats(model, rows)
    torch.testing.assert_close(found, wanted)
    for ours, theirs in zip(gradient(model, found), gradient(model, wanted), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("axes", HEADS)
def test_smoothing_and_z_loss_change_the_gradient_and_not_the_reported_nats(axes):
    model, rows = drawn_model(**axes), drawn_rows()
    found = summed_nats(model, rows, label_smoothing=0.1, z_loss=0.01)
    assert torch.equal(found, summed_nats(model, rows))
    told = logits(model, rows)
    bent = functional.cross_entropy(told, rows.targets.flatten(), reduction="none", label_smoothing=0.1)
    wanted = ((bent + 0.01 * told.logsumexp(-1) ** 2) * rows.weights.flatten()).sum()
    for ours, theirs in zip(gradient(model, found), gradient(model, wanted), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("axes", HEADS)
def test_watched_nats_are_the_plain_ones_without_the_end_of_texts(axes):
    model, rows = drawn_model(**axes), drawn_rows()
    kept = Rows(rows.ids, rows.targets, rows.weights * (rows.targets != END), rows.docs, rows.positions)
    torch.testing.assert_close(watched_nats(model, rows, end=END), summed_nats(model, kept).detach())
