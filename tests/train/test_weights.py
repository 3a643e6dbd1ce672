import pytest
from toy_training import MODEL

from whorl.model.families import Family
from whorl.model.transformer import Transformer
from whorl.train.weights import weights_of


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
