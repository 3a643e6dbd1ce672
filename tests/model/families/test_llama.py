import pytest

from whorl.core.errors import ConfigError, DataError
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


def test_depth_six_is_the_hand_worked_shape():
    config = Family.model_validate({"use": "llama", "depth": 6}).configure(4096, 512)
    assert (config.width, config.heads, config.kv_heads, config.head_dim, config.mlp_width) == (384, 6, 6, 64, 1024)
    assert (config.qk_norm, config.norm_eps, config.vocab_size, config.max_positions) == ("none", 1e-5, 4096, 512)


def test_llama_2_7b_reads_as_published():
    config = LLAMA.from_hub(PUBLIC)
    assert (config.width, config.depth, config.kv_heads, config.head_dim) == (4096, 32, 32, 128)
    assert (config.tied, config.rope_theta) == (False, 10_000.0)


def test_a_model_with_query_norms_is_refused_and_sent_to_the_family_that_holds_it(tiny):
    with pytest.raises(ConfigError, match="the llama layout cannot hold qk_norm=head; use qwen3"):
        LLAMA.to_hub(tiny("qwen3"))


@pytest.mark.parametrize(("axis", "value"), [("gated", False), ("causal", False)])
def test_axes_no_layout_holds_are_refused(axis, value, tiny):
    with pytest.raises(ConfigError, match=f"cannot hold {axis}=False; no family's public layout can"):
        LLAMA.to_hub(tiny("llama").model_copy(update={axis: value}))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"attention_bias": True}, "attention_bias=True"),
        ({"mlp_bias": True}, "mlp_bias=True"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "rope_scaling"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "rope_type='yarn'"),
        ({"hidden_act": "tanh"}, "hidden_act='tanh'"),
        ({"hidden_size": None}, "hidden_size=None; want a whole number"),
    ],
)
def test_what_the_network_cannot_do_is_refused_by_name(fields, named):
    with pytest.raises(DataError, match=named):
        LLAMA.from_hub({**PUBLIC, **fields})


def test_width_that_heads_do_not_fill_is_refused():
    with pytest.raises(ConfigError, match="width=100"):
        Family.model_validate({"use": "llama", "depth": 2, "width": 100}).configure(61, 32)
