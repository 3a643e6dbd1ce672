import pytest
from toy_models import config_of, variants_of

from whorl.model.config import ModelConfig
from whorl.model.count import flops_per_token, parameters
from whorl.model.families import Family
from whorl.model.transformer import Transformer

TOY = ModelConfig(vocab_size=10, width=4, depth=1, heads=1, kv_heads=1, head_dim=4, mlp_width=8, max_positions=8)


@pytest.mark.parametrize(("family", "variant"), [(name, variant) for name in Family.names() for variant in variants_of(name)])
def test_counted_parameters_are_those_the_model_has(family, variant):
    config = config_of(family, variants_of(family)[variant])
    assert parameters(config).total == sum(weight.numel() for weight in Transformer(config).parameters())


def test_an_ungated_network_counts_two_matrices(tiny):
    config = tiny().model_copy(update={"gated": False})
    assert parameters(config).total == sum(weight.numel() for weight in Transformer(config).parameters())


def test_flops_of_a_toy_are_the_hand_worked_ones():
    # Multiply-adds: q k v o 4*16, three feed-forward matrices 3*32, head 40; attention 2*4 for each of (3 + 1) / 2 = 2 keys.
    assert flops_per_token(TOY, width=3) == 6 * (64 + 96 + 40 + 16)


def test_two_way_sight_costs_all_keys():
    assert flops_per_token(TOY.model_copy(update={"causal": False}), width=3) == 6 * (64 + 96 + 40 + 24)
