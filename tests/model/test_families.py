"""Laws of the door: every family's public layout and ours say the same."""

import pytest

from whorl.core.errors import DataError
from whorl.model.config import ModelConfig
from whorl.model.families import Family, family_of
from whorl.model.hub import public_names
from whorl.model.transformer import Transformer

every_family = pytest.mark.parametrize("family", Family.names())


@every_family
@pytest.mark.parametrize("activation", ["silu", "relu2", "gelu", "gelu_tanh"])
@pytest.mark.parametrize("tied", [True, False])
def test_config_survives_the_public_layout(family, activation, tied, tiny):
    config: ModelConfig = tiny(family, activation=activation, tied=tied, rope_theta=5e5, init_std=0.03)
    member = Family.find(family, frozenset())
    fields = member.to_hub(config)
    assert member.from_hub(fields) == config
    assert family_of(fields) is member


@every_family
@pytest.mark.parametrize("tied", [True, False])
def test_every_parameter_has_its_own_public_name(family, tied, tiny):
    ours = [name for name, _ in Transformer(tiny(family, tied=tied)).named_parameters()]
    public = public_names(Family.find(family, frozenset()).keys, ours)
    assert list(public) == ours
    assert len(set(public.values())) == len(ours)


def test_an_unknown_architecture_names_the_known_ones():
    with pytest.raises(DataError, match=r"model_type='mamba' is not supported; known: llama, qwen3"):
        family_of({"model_type": "mamba"})
