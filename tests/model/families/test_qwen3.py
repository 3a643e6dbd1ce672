import pytest

from whorl.core.errors import ConfigError, DataError
from whorl.model.count import parameters
from whorl.model.families import Family

QWEN3 = Family.find("qwen3", frozenset())
PUBLIC_06B = {
    "model_type": "qwen3",
    "vocab_size": 151936,
    "hidden_size": 1024,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 3072,
    "max_position_embeddings": 40960,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000,
    "rope_scaling": None,
    "sliding_window": None,
    "use_sliding_window": False,
    "max_window_layers": 28,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "hidden_act": "silu",
}


def test_a_recipe_sets_any_dial():
    family = Family.model_validate({"use": "qwen3", "depth": 6, "width": 128, "heads": 2, "activation": "relu2"})
    config = family.configure(2048, 512)
    assert (config.width, config.heads, config.head_dim, config.mlp_width) == (128, 2, 64, 384)
    assert (config.activation, config.qk_norm, config.tied, config.windows) == ("relu2", "head", True, ())


def test_qwen3_06b_reads_as_published():
    config = QWEN3.from_hub(PUBLIC_06B)
    assert (config.heads, config.kv_heads, config.head_dim, config.rope_theta) == (16, 8, 128, 1e6)
    assert (config.qk_norm, config.attn_bias, config.windows) == ("head", False, ())
    assert parameters(config).total == 596_049_920


def test_an_absent_head_dim_is_128_as_transformers_has_it():
    config = QWEN3.from_hub({name: value for name, value in PUBLIC_06B.items() if name != "head_dim"})
    assert (config.width // config.heads, config.head_dim) == (64, 128)


def test_a_model_without_query_norms_is_sent_to_llama(tiny):
    with pytest.raises(ConfigError, match="the qwen3 layout cannot hold qk_norm='none'; use llama"):
        QWEN3.to_hub(tiny("llama"))


def test_layers_from_the_named_one_on_have_the_window():
    fields = {**PUBLIC_06B, "num_hidden_layers": 4, "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}
    assert QWEN3.from_hub(fields).windows == (None, 8, 8, 8)
    kinds = ["sliding_attention", "full_attention"] * 2
    assert QWEN3.from_hub({**fields, "layer_types": kinds}).windows == (8, None, 8, None)
    assert QWEN3.from_hub({**fields, "use_sliding_window": False}).windows == ()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"layer_types": ["linear_attention"] * 28}, r"layer_types=\['linear_attention'\] is not supported"),
        ({"layer_types": ["sliding_attention"] * 28}, "use_sliding_window=False, sliding_window=None"),
        ({"layer_types": ["full_attention"] * 27 + ["sliding_attention"], "use_sliding_window": True}, "sliding_window=None"),
        (
            {"layer_types": ["sliding_attention"], "use_sliding_window": True, "sliding_window": 8},
            "windows has 1 entries, want one for each of depth=28 layers",
        ),
        ({"mlp_bias": True}, "mlp_bias=True"),
    ],
)
def test_windows_that_do_not_fit_are_refused_by_name(fields, named):
    with pytest.raises(DataError, match=named):
        QWEN3.from_hub({**PUBLIC_06B, **fields})


def test_windows_of_two_sizes_have_no_place(tiny):
    with pytest.raises(ConfigError, match=r"cannot hold windows=\(3, 5\); no family's public layout can"):
        QWEN3.to_hub(tiny("qwen3").model_copy(update={"windows": (3, 5)}))
