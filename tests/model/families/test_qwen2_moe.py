import pytest

from whorl.core.errors import ConfigError, DataError
from whorl.model.config import ModelConfig
from whorl.model.count import active_parameters, parameters
from whorl.model.families import Family

QWEN2_MOE = Family.find("qwen2_moe", frozenset())
PUBLIC_A27B = {
    "model_type": "qwen2_moe",
    "vocab_size": 151936,
    "hidden_size": 2048,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "intermediate_size": 5632,
    "moe_intermediate_size": 1408,
    "shared_expert_intermediate_size": 5632,
    "num_experts": 60,
    "num_experts_per_tok": 4,
    "norm_topk_prob": False,
    "decoder_sparse_step": 1,
    "max_position_embeddings": 8192,
    "max_window_layers": 21,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "router_aux_loss_coef": 0.001,
    "sliding_window": 32768,
    "use_sliding_window": False,
    "tie_word_embeddings": False,
    "attention_dropout": 0.0,
    "output_router_logits": False,
    "hidden_act": "silu",
}


def test_qwen1_5_moe_reads_as_published_with_14_3_billion_parameters_of_which_2_7_are_used():
    config = QWEN2_MOE.from_hub(PUBLIC_A27B)
    assert (config.experts, config.expert_width, config.shared_width, config.shared_gate) == (60, 1408, 5632, True)
    assert (config.attn_bias, config.normalise_top, config.windows, config.expert_layers) == (True, False, (), ())
    total, active = parameters(config).total, active_parameters(config).total
    assert (round(total / 1e9, 1), round(active / 1e9, 1)) == (14.3, 2.7)


def test_experts_and_the_shared_one_are_by_default_as_wide_as_the_dense_feed_forward():
    config = Family.model_validate({"use": "qwen2_moe", "depth": 6}).configure(4096, 512)
    assert (config.mlp_width, config.experts_per_token, config.expert_width, config.shared_width) == (1024, 4, 256, 1024)


def test_windows_without_a_list_of_layers_are_refused_because_readers_disagree():
    with pytest.raises(DataError, match="use_sliding_window=True"):
        QWEN2_MOE.from_hub({**PUBLIC_A27B, "use_sliding_window": True})
    kinds = ["full_attention"] * 23 + ["sliding_attention"]
    config = QWEN2_MOE.from_hub({**PUBLIC_A27B, "use_sliding_window": True, "sliding_window": 64, "layer_types": kinds})
    assert config.windows == (*[None] * 23, 64)


def test_a_dense_layer_that_is_not_there_is_refused(tiny):
    with pytest.raises(ConfigError, match=r"no layer 7; want 0 to 1"):
        tiny("qwen2_moe", dense_layers=(0, 7))


@pytest.mark.parametrize(
    ("axes", "named"),
    [
        ({"balance": "bias"}, "balance='bias'"),
        ({"experts": 0}, "experts=0"),
        ({"shared_width": 0, "shared_gate": False}, "shared_gate=False"),
        ({"routed_scale": 2.0}, "routed_scale=2.0"),
        ({"out_bias": True}, "out_bias=True"),
        ({"windows": (4, 5)}, "windows="),
    ],
)
def test_what_the_layout_cannot_hold_is_refused_by_name(axes, named, tiny):
    config = ModelConfig.model_validate({**dict(tiny("qwen2_moe")), **axes})
    with pytest.raises(ConfigError, match=f"the qwen2_moe layout cannot hold {named}"):
        QWEN2_MOE.to_hub(config)
