import pytest

from whorl.core.errors import ConfigError, DataError
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
    assert (config.activation, config.qk_norm, config.tied) == ("relu2", "head", True)


def test_qwen3_06b_reads_as_published():
    config = QWEN3.from_hub(PUBLIC_06B)
    assert (config.heads, config.kv_heads, config.head_dim, config.rope_theta) == (16, 8, 128, 1e6)
    assert config.qk_norm == "head"


def test_a_model_without_query_norms_is_sent_to_llama(tiny):
    with pytest.raises(ConfigError, match="the qwen3 layout cannot hold qk_norm=none; use llama"):
        QWEN3.to_hub(tiny("llama"))


def test_sliding_windows_are_refused():
    with pytest.raises(DataError, match="use_sliding_window=True"):
        QWEN3.from_hub({**PUBLIC_06B, "use_sliding_window": True})
