import pytest
import torch

from whorl.core.errors import ConfigError, DataError
from whorl.model import checkpoint
from whorl.model.config import ModelConfig
from whorl.model.count import active_parameters, parameters
from whorl.model.families import Family

DOTS1 = Family.find("dots1", frozenset())
PUBLIC = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "first_k_dense_replace": 1,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 10944,
    "max_position_embeddings": 32768,
    "model_type": "dots1",
    "moe_intermediate_size": 1408,
    "moe_layer_freq": 1,
    "n_routed_experts": 128,
    "n_shared_experts": 2,
    "norm_topk_prob": True,
    "num_attention_heads": 32,
    "num_experts_per_tok": 6,
    "num_hidden_layers": 62,
    "num_key_value_heads": 32,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-5,
    "rope_scaling": None,
    "rope_theta": 10000000,
    "routed_scaling_factor": 2.5,
    "scoring_func": "noaux_tc",
    "sliding_window": None,
    "tie_word_embeddings": False,
    "use_sliding_window": False,
    "vocab_size": 152064,
}


def test_dots_llm1_reads_as_published_with_142_billion_parameters_of_which_14_are_used():
    config = DOTS1.from_hub(PUBLIC)
    assert (config.experts, config.experts_per_token, config.expert_width, config.shared_width) == (128, 6, 1408, 2816)
    assert (config.router, config.balance, config.normalise_top, config.routed_scale) == ("sigmoid", "bias", True, 2.5)
    assert (config.expert_layers, config.windows) == ((False, *[True] * 61), ())
    assert (parameters(config).total // 10**9, active_parameters(config).total // 10**9) == (142, 14)


def test_what_a_token_uses_is_by_default_as_wide_as_the_dense_feed_forward():
    config = Family.model_validate({"use": "dots1", "depth": 12}).configure(4096, 512)
    assert (config.mlp_width, config.experts_per_token, config.expert_width, config.shared_width) == (2048, 4, 448, 448)


def test_dense_layers_come_first(tiny):
    config = tiny("dots1", depth=3, dense_layers=2)
    assert config.expert_layers == (False, False, True)
    assert DOTS1.to_hub(config)["first_k_dense_replace"] == 2
    assert DOTS1.from_hub(DOTS1.to_hub(config)) == config


def test_the_bias_that_chooses_is_stored_and_read_again(tiny, filled, tmp_path):
    model = filled(tiny("dots1"))
    biases = [block.mlp.router.bias for block in model.blocks]
    assert all(float(bias.abs().sum()) > 0 for bias in biases)
    checkpoint.save(tmp_path, model, family="dots1")
    loaded = checkpoint.load(tmp_path, dtype=torch.bfloat16).model
    routers = [block.mlp.router for block in loaded.blocks]
    assert all(torch.equal(bias, router.bias) for bias, router in zip(biases, routers, strict=True))
    assert not any(router.loads.any() for router in routers)


def test_a_window_that_is_stated_begins_at_its_layer():
    config = DOTS1.from_hub({**PUBLIC, "sliding_window": 64, "max_window_layers": 60})
    assert config.windows == (*[None] * 60, 64, 64)


@pytest.mark.parametrize(
    ("axes", "named"),
    [
        ({"balance": "loss"}, "balance='loss'"),
        ({"router": "softmax"}, "router='softmax'"),
        ({"experts": 0}, "experts=0"),
        ({"shared_width": 24}, "shared_width=24 with expert_width=16"),
        ({"shared_gate": True}, "shared_gate=True"),
        ({"expert_layers": (True, False)}, "expert_layers="),
        ({"windows": (4, 5)}, "windows="),
        ({"out_bias": True}, "attn_bias=False with out_bias=True"),
    ],
)
def test_what_the_layout_cannot_hold_is_refused_by_name(axes, named, tiny):
    config = ModelConfig.model_validate({**dict(tiny("dots1")), **axes})
    with pytest.raises(ConfigError, match=f"the dots1 layout cannot hold {named}"):
        DOTS1.to_hub(config)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"n_group": 4}, "n_group=4"),
        ({"topk_method": "greedy"}, "topk_method='greedy'"),
        ({"scoring_func": "softmax"}, "scoring_func='softmax'"),
        ({"n_shared_experts": None}, "n_shared_experts=None; want a whole number"),
    ],
)
def test_what_cannot_be_built_is_refused_by_name(fields, named):
    with pytest.raises(DataError, match=named):
        DOTS1.from_hub({**PUBLIC, **fields})
