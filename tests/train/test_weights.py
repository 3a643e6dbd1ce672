import pytest
from toy_training import MODEL

from whorl.model.families import Family
from whorl.model.transformer import Transformer
from whorl.train.weights import gradient_of, weights_of


@pytest.mark.parametrize(("tied", "heads"), [(True, []), (False, ["unembed.weight"])])
def test_each_parameter_has_the_role_of_what_holds_it(tied, heads):
    model = Transformer(Family.model_validate({**MODEL, "tied": tied}).configure(300, 32))
    roles = {weight.name: weight.role for weight in weights_of(model)}
    assert [name for name, role in roles.items() if role == "head"] == heads
    assert [name for name, role in roles.items() if role == "embedding"] == ["embed.weight"]
    assert all("norm" in name for name, role in roles.items() if role == "vector")
    assert sum(role == "matrix" for role in roles.values()) == 2 * 7  # q k v o gate up down
    assert list(roles) == [name for name, _ in model.named_parameters()]


def test_a_frozen_parameter_is_not_trained():
    model = Transformer(Family.model_validate(MODEL).configure(300, 32))
    model.embed.weight.requires_grad_(False)
    assert "embed.weight" not in {weight.name for weight in weights_of(model)}


def test_the_matrices_of_experts_are_matrices_though_they_are_stacked():
    model = Transformer(Family.model_validate({**MODEL, "use": "mixtral"}).configure(300, 32))
    stacks = [weight for weight in weights_of(model) if weight.tensor.ndim == 3]
    assert len(stacks) == 2 * 3  # gates, ups and downs of two blocks
    assert {weight.role for weight in stacks} == {"matrix"}


def test_the_output_matrix_of_classes_is_a_head():
    config = Family.model_validate(MODEL).configure(300, 32).model_copy(update={"pooler": "mean", "classes": 3})
    roles = {weight.name: weight.role for weight in weights_of(Transformer(config))}
    assert (roles["classifier.weight"], roles["classifier.bias"]) == ("head", "vector")


def test_a_weight_without_a_gradient_is_named():
    weight = weights_of(Transformer(Family.model_validate(MODEL).configure(300, 32)))[0]
    with pytest.raises(AssertionError, match=r"embed\.weight has no gradient"):
        gradient_of(weight)
