"""Laws of families that look both ways, as those of causal ones stand in test_transformer."""

import pytest
import torch
from toy_models import config_of, filled_model, variants_of

from whorl.model import checkpoint
from whorl.model.families import Family
from whorl.model.heads import pooled
from whorl.model.mask import PADDING, MaskSpec

CASES = [
    (family, name)
    for family in Family.names()
    for name, variant in variants_of(family).items()
    if not config_of(family, variant).causal
]
each_encoder = pytest.mark.parametrize(("family", "variant"), CASES)
IDS = torch.tensor([[4, 9, 60, 7, 22, 31, 5, 18, 41, 2]])


def model_of(family, variant):
    return filled_model(config_of(family, variants_of(family)[variant]))


def answers(model, ids, **said):
    """Hidden states of every place, and the scores of every document where there are classes."""
    hidden = model(ids, **said)
    docs = said["mask"].docs if "mask" in said else torch.zeros_like(ids)
    return hidden, (model.classify(pooled(hidden, docs, pooler=model.config.pooler)) if model.config.classes else None)


def test_there_is_an_encoder_to_hold_to_these_laws():
    assert {family for family, _ in CASES} >= {"bert", "modernbert"}


@each_encoder
def test_every_place_sees_what_comes_after_it(family, variant):
    model = model_of(family, variant)
    changed = IDS.clone()
    changed[0, -1] = 33
    moved = (model(IDS) - model(changed)).abs().amax(dim=-1)[0]
    assert (moved > 1e-5).all()


@each_encoder
def test_padding_changes_nothing(family, variant):
    model = model_of(family, variant)
    longer = torch.cat([IDS, torch.full((1, 6), 3)], dim=1)
    docs = torch.tensor([[0] * 10 + [PADDING] * 6])
    hidden, scores = answers(model, longer, mask=MaskSpec(docs=docs))
    wanted, wanted_scores = answers(model, IDS)
    torch.testing.assert_close(hidden[:, :10], wanted, atol=1e-5, rtol=1e-5)
    if wanted_scores is not None:
        torch.testing.assert_close(scores, wanted_scores, atol=1e-5, rtol=1e-5)


@each_encoder
def test_packed_documents_never_see_each_other(family, variant):
    model = model_of(family, variant)
    docs, positions = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1, 1, 1]]), torch.tensor([[*range(4), *range(6)]])
    hidden, scores = answers(model, IDS, mask=MaskSpec(docs=docs), positions=positions)
    alone = [answers(model, IDS[:, part]) for part in (slice(0, 4), slice(4, 10))]
    torch.testing.assert_close(hidden, torch.cat([one[0] for one in alone], dim=1), atol=1e-5, rtol=1e-5)
    if scores is not None:
        torch.testing.assert_close(scores, torch.cat([one[1] for one in alone]), atol=1e-5, rtol=1e-5)


@each_encoder
def test_saved_and_loaded_is_the_same_to_the_last_bit(family, variant, tmp_path):
    model = model_of(family, variant)
    checkpoint.save(tmp_path / "a", model, family=family)
    found = checkpoint.load(tmp_path / "a")
    assert dict(found.config) | {"zero_outputs": 0} == dict(model.config) | {"zero_outputs": 0}
    again = found.model.state_dict()
    assert all(torch.equal(weight, again[name]) for name, weight in model.state_dict().items())
    hidden, scores = answers(model, IDS)
    hidden_again, scores_again = answers(found.model, IDS)
    assert torch.equal(hidden, hidden_again)
    assert scores is None or torch.equal(scores, scores_again)
    checkpoint.save(tmp_path / "b", found.model, family=family)
    names = [path.name for path in sorted((tmp_path / "a").iterdir())]
    assert [(tmp_path / "a" / name).read_bytes() for name in names] == [(tmp_path / "b" / name).read_bytes() for name in names]


@each_encoder
def test_every_weight_matters_to_some_answer(family, variant):
    """A parameter that no answer hangs on would be saved, counted and never trained."""
    model = model_of(family, variant)
    hidden, scores = answers(model, IDS)
    total = hidden.pow(2).sum() + model.head(hidden).pow(2).sum()
    (total if scores is None else total + scores.pow(2).sum()).backward()
    moved = {name: float(parameter.grad.abs().sum()) for name, parameter in model.named_parameters()}
    # A bias of keys moves all scores of a query alike, which softmax does not see: it is in the layout, so it is here.
    assert [name for name, slope in moved.items() if slope < 1e-4 and not name.endswith("attn.k.bias")] == []
