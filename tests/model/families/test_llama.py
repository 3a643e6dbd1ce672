import pytest

from whorl.core.errors import ConfigError, DataError
from whorl.model.count import flops_per_token, parameters
from whorl.model.families import Family

PUBLIC = {
    "model_type": "llama",
    "vocab_size": 32000,
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "intermediate_size": 11008,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
}
LLAMA = Family.find("llama", frozenset())
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}


def scaling(**fields):
    return LLAMA.from_hub({**PUBLIC, **fields}).rope_scaling


def test_depth_six_is_the_hand_worked_shape():
    config = Family.model_validate({"use": "llama", "depth": 6}).configure(4096, 512)
    assert (config.width, config.heads, config.kv_heads, config.head_dim, config.mlp_width) == (384, 6, 6, 64, 1024)
    assert (config.qk_norm, config.norm_eps, config.vocab_size, config.max_positions) == ("none", 1e-5, 4096, 512)


def test_llama_2_7b_reads_as_published():
    config = LLAMA.from_hub(PUBLIC)
    assert (config.width, config.depth, config.kv_heads, config.head_dim) == (4096, 32, 32, 128)
    assert (config.tied, config.rope_theta, config.rope_scaling) == (False, 10_000.0, None)
    assert parameters(config).total == 6_738_415_616


def test_flops_of_llama_2_7b_are_the_hand_worked_ones():
    # Multiply-adds of a layer: q k v o 4 * 4096^2, three of 4096 * 11008; attention 2 * 4096 for each of (2 + 1) / 2 keys.
    layer = 4 * 4096**2 + 3 * 4096 * 11008 + 2 * 4096 * 3 // 2
    assert flops_per_token(LLAMA.from_hub(PUBLIC), 2) == 6 * (32 * layer + 32000 * 4096)


def test_a_model_with_query_norms_is_refused_and_sent_to_the_family_that_holds_it(tiny):
    with pytest.raises(ConfigError, match="the llama layout cannot hold qk_norm='head'; use qwen3"):
        LLAMA.to_hub(tiny("qwen3"))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"gated": False}, "gated=False"),
        ({"causal": False}, "causal=False"),
        ({"attn_bias": True}, "attn_bias=True with out_bias=False; use qwen2"),
        ({"heads": 5, "kv_heads": 5}, "width=24 with heads=5"),
    ],
)
def test_axes_the_layout_cannot_hold_are_refused(change, named, tiny):
    with pytest.raises(ConfigError, match=f"cannot hold {named}"):
        LLAMA.to_hub(tiny("llama").model_copy(update=change))


def test_biases_are_read():
    config = LLAMA.from_hub({**PUBLIC, "attention_bias": True})
    assert (config.attn_bias, config.out_bias, config.mlp_bias) == (True, True, False)
    assert LLAMA.from_hub({**PUBLIC, "mlp_bias": True}).mlp_bias


@pytest.mark.parametrize(
    "fields",
    [
        {"rope_theta": 5e5, "rope_scaling": {**LLAMA3, "original_max_position_embeddings": 8192}},
        {"rope_parameters": {**LLAMA3, "original_max_position_embeddings": 8192, "rope_theta": 5e5}},
        {"rope_parameters": {**LLAMA3, "rope_theta": 5e5}, "original_max_position_embeddings": 8192},
    ],
)
def test_llama_3_1_stretches_alike_in_every_dialect(fields):
    config = LLAMA.from_hub({**PUBLIC, **fields})
    found = config.rope_scaling
    assert (config.rope_theta, found.kind, found.factor, found.original_positions) == (5e5, "llama3", 8.0, 8192)


def test_an_older_word_for_the_kind_and_the_length_it_leaves_out_are_read():
    found = scaling(rope_scaling={"type": "linear", "factor": 2.0})
    assert (found.kind, found.factor, found.original_positions) == ("linear", 2.0, 4096)


def test_the_two_weights_of_yarns_magnitude_become_the_hand_worked_one():
    yarn = {
        "rope_type": "yarn",
        "factor": 40.0,
        "original_max_position_embeddings": 4096,
        "mscale": 0.707,
        "mscale_all_dim": 1.0,
    }
    # (0.1 * 0.707 * ln 40 + 1) / (0.1 * 1 * ln 40 + 1) = 1.260804 / 1.368888
    assert scaling(rope_scaling=yarn).magnitude == pytest.approx(0.921042, abs=1e-6)
    assert scaling(rope_scaling={**yarn, "mscale": 1.0}).magnitude == 1.0
    assert scaling(rope_scaling={**yarn, "mscale": None}).magnitude is None
    assert scaling(rope_scaling={**yarn, "attention_factor": 0.9}).magnitude == 0.9


def test_yarn_without_a_factor_stretches_to_the_length_there_is():
    yarn = {"rope_type": "yarn", "factor": None, "original_max_position_embeddings": 1024}
    assert scaling(rope_scaling=yarn).factor == 4.0


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        (
            {"rope_scaling": {"rope_type": "dynamic", "factor": 8.0}},
            "rope_type='dynamic' is not supported; known: default, linear",
        ),
        ({"rope_parameters": {"rope_type": "longrope", "rope_theta": 1e4}}, "rope_type='longrope'"),
        ({"rope_parameters": {"full_attention": {"rope_type": "default"}}}, "full_attention is not supported"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 0.5}}, "rope_scaling: factor: "),
        ({"rope_scaling": {**LLAMA3, "high_freq_factor": 1.0}}, "low_freq_factor=1.0, high_freq_factor=1.0"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "low_freq_factor=None"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor=0.5"),
        ({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}, "partial_rotary_factor=0.5"),
        ({"quantization_config": {"quant_method": "fp8"}}, "quantization_config="),
        ({"per_layer_config": {"0": {"hidden_size": 8}}}, "per_layer_config="),
        ({"hidden_act": "tanh"}, "hidden_act='tanh'"),
        ({"hidden_size": None}, "hidden_size=None; want a whole number"),
        ({"num_key_value_heads": 3}, "heads=32 is not a multiple of kv_heads=3"),
    ],
)
def test_what_the_network_cannot_do_is_refused_by_name(fields, named):
    with pytest.raises(DataError, match=named):
        LLAMA.from_hub({**PUBLIC, **fields})


def test_width_that_heads_do_not_fill_is_refused():
    with pytest.raises(ConfigError, match="width=100"):
        Family.model_validate({"use": "llama", "depth": 2, "width": 100}).configure(61, 32)
