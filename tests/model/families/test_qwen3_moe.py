import pytest

from whorl.core.errors import ConfigError, DataError
from whorl.model.config import ModelConfig
from whorl.model.count import active_parameters, parameters
from whorl.model.families import Family

QWEN3_MOE = Family.find("qwen3_moe", frozenset())
PUBLIC_30B_A3B = {
    "model_type": "qwen3_moe",
    "vocab_size": 151936,
    "hidden_size": 2048,
    "num_hidden_layers": 48,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "intermediate_size": 6144,
    "moe_intermediate_size": 768,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "norm_topk_prob": True,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "max_position_embeddings": 40960,
    "max_window_layers": 48,
    "rms_norm_eps": 1e-6,
    "rope_scaling": None,
    "rope_theta": 1000000.0,
    "router_aux_loss_coef": 0.001,
    "sliding_window": None,
    "use_sliding_window": False,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "output_router_logits": False,
    "hidden_act": "silu",
}


def test_qwen3_30b_a3b_reads_as_published():
    config = QWEN3_MOE.from_hub(PUBLIC_30B_A3B)
    assert (config.experts, config.experts_per_token, config.expert_width, config.mlp_width) == (128, 8, 768, 6144)
    assert (config.qk_norm, config.normalise_top, config.expert_layers, config.windows) == ("head", True, (), ())


def test_qwen3_30b_a3b_has_the_published_30_5_billion_parameters_and_uses_3_3_of_them():
    config = QWEN3_MOE.from_hub(PUBLIC_30B_A3B)
    assert parameters(config).total == 30_532_122_624
    # Published as 3.3 billion. A layer: attention 2*2048*128*(32+4) and its two norms of 128, router 2048*128, 8 experts of
    # 3*2048*768, two norms of 2048; two tables of 151936*2048; the last norm.
    layer = 2 * 2048 * 128 * 36 + 2 * 128 + 2048 * 128 + 8 * 3 * 2048 * 768 + 2 * 2048
    assert active_parameters(config).total == 48 * layer + 2 * 151936 * 2048 + 2048


def test_experts_are_by_default_as_wide_together_as_the_dense_feed_forward():
    config = Family.model_validate({"use": "qwen3_moe", "depth": 6}).configure(4096, 512)
    assert (config.mlp_width, config.experts, config.experts_per_token, config.expert_width) == (1024, 32, 4, 256)


def test_every_second_layer_and_listed_ones_apart():
    config = QWEN3_MOE.from_hub({**PUBLIC_30B_A3B, "num_hidden_layers": 6, "decoder_sparse_step": 2, "mlp_only_layers": [3]})
    assert config.expert_layers == (False, True, False, False, False, True)


def test_dense_layers_are_written_one_by_one_and_read_again(tiny):
    config = tiny("qwen3_moe", depth=4, dense_layers=(0, 2))
    assert config.expert_layers == (False, True, False, True)
    fields = QWEN3_MOE.to_hub(config)
    assert (fields["mlp_only_layers"], fields["decoder_sparse_step"]) == ([0, 2], 1)
    assert QWEN3_MOE.from_hub(fields) == config


def test_the_number_of_experts_is_read_under_both_of_its_names_and_refused_when_they_disagree():
    newer = {"num_local_experts": 16, **{name: value for name, value in PUBLIC_30B_A3B.items() if name != "num_experts"}}
    assert QWEN3_MOE.from_hub(newer).experts == 16
    with pytest.raises(DataError, match="num_local_experts=16 is not supported; want 128"):
        QWEN3_MOE.from_hub({**PUBLIC_30B_A3B, "num_local_experts": 16})


def test_an_absent_word_on_normalising_means_no():
    bare = {name: value for name, value in PUBLIC_30B_A3B.items() if name != "norm_topk_prob"}
    assert not QWEN3_MOE.from_hub(bare).normalise_top


def test_windows_go_into_all_layers_or_are_refused_where_readers_disagree():
    windowed = {**PUBLIC_30B_A3B, "use_sliding_window": True, "sliding_window": 64, "max_window_layers": 0}
    assert QWEN3_MOE.from_hub(windowed).windows == (64,) * 48
    with pytest.raises(DataError, match="max_window_layers=28"):
        QWEN3_MOE.from_hub({**windowed, "max_window_layers": 28})


def test_a_dense_layer_that_is_not_there_is_refused(tiny):
    with pytest.raises(ConfigError, match=r"no layer 7; want 0 to 1"):
        tiny("qwen3_moe", dense_layers=(0, 7))
    with pytest.raises(DataError, match=r"no layer 48; want 0 to 47"):
        QWEN3_MOE.from_hub({**PUBLIC_30B_A3B, "mlp_only_layers": [48]})


@pytest.mark.parametrize(
    ("axes", "named"),
    [
        ({"balance": "bias"}, "balance='bias'"),
        ({"shared_width": 8}, "shared_width=8"),
        ({"router": "sigmoid"}, "router='sigmoid'"),
        ({"qk_norm": "none"}, "qk_norm='none'"),
        ({"attn_bias": True}, "attn_bias=True with out_bias=False"),
        ({"windows": (4, None)}, "windows="),
    ],
)
def test_what_the_layout_cannot_hold_is_refused_by_name(axes, named, tiny):
    config = ModelConfig.model_validate({**dict(tiny("qwen3_moe")), **axes})
    with pytest.raises(ConfigError, match=f"the qwen3_moe layout cannot hold {named}"):
        QWEN3_MOE.to_hub(config)
