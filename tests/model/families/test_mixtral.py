import pytest

from whorl.core.errors import ConfigError, DataError
from whorl.model.config import ModelConfig
from whorl.model.count import active_parameters, parameters
from whorl.model.families import Family

MIXTRAL = Family.find("mixtral", frozenset())
PUBLIC_8X7B = {
    "model_type": "mixtral",
    "vocab_size": 32000,
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1000000.0,
    "router_aux_loss_coef": 0.02,
    "sliding_window": None,
    "output_router_logits": False,
    "tie_word_embeddings": False,
    "attention_dropout": 0.0,
    "hidden_act": "silu",
}


def test_mixtral_8x7b_reads_as_published():
    config = MIXTRAL.from_hub(PUBLIC_8X7B)
    assert (config.experts, config.experts_per_token, config.expert_width) == (8, 2, 14336)
    assert (config.router, config.normalise_top, config.balance, config.balance_weight) == ("softmax", True, "loss", 0.02)
    assert (config.rope_theta, config.windows, config.expert_layers) == (1e6, (), ())


def test_mixtral_8x7b_has_the_published_46_7_billion_parameters_and_uses_12_9_of_them():
    config = MIXTRAL.from_hub(PUBLIC_8X7B)
    assert parameters(config).total == 46_702_792_704
    assert active_parameters(config).total == 12_879_925_248


def test_absent_fields_are_what_transformers_takes_them_for():
    bare = {name: value for name, value in PUBLIC_8X7B.items() if "rope" not in name and "router" not in name}
    config = MIXTRAL.from_hub({name: value for name, value in bare.items() if "experts" not in name})
    assert (config.experts, config.experts_per_token, config.rope_theta, config.balance_weight) == (8, 2, 1e6, 0.001)


def test_depth_six_is_the_hand_worked_shape():
    config = Family.model_validate({"use": "mixtral", "depth": 6, "window": 100}).configure(4096, 512)
    assert (config.width, config.mlp_width, config.experts, config.experts_per_token, config.expert_width) == (
        384,
        1024,
        8,
        2,
        1024,
    )
    assert config.windows == (100,) * 6


def test_a_loss_of_weight_zero_is_no_balancing():
    config = Family.model_validate({"use": "mixtral", "depth": 1, "balance_weight": 0}).configure(61, 32)
    assert config.balance == "none"
    assert MIXTRAL.from_hub(MIXTRAL.to_hub(config)) == config


@pytest.mark.parametrize(
    ("axes", "named"),
    [
        ({"experts": 0}, "experts=0"),
        ({"balance": "bias"}, "balance='bias'"),
        ({"balance": "none"}, "balance='none' with balance_weight=0.01"),
        ({"expert_width": 24}, "expert_width=24 with mlp_width=40"),
        ({"expert_layers": (True, False)}, "expert_layers="),
        ({"shared_width": 8}, "shared_width=8"),
        ({"router": "sigmoid"}, "router='sigmoid'"),
        ({"normalise_top": False}, "normalise_top=False"),
        ({"windows": (4, None)}, "windows="),
    ],
)
def test_what_the_layout_cannot_hold_is_refused_by_name(axes, named, tiny):
    config = ModelConfig.model_validate({**dict(tiny("mixtral")), **axes})
    with pytest.raises(ConfigError, match=f"the mixtral layout cannot hold {named}"):
        MIXTRAL.to_hub(config)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"num_local_experts": 0}, "num_local_experts=0; want at least 1"),
        ({"num_experts_per_tok": 9}, "experts_per_token=9"),
        ({"attention_bias": True}, "attention_bias=True"),
    ],
)
def test_what_cannot_be_built_is_refused_by_name(fields, named):
    with pytest.raises(DataError, match=named):
        MIXTRAL.from_hub({**PUBLIC_8X7B, **fields})
