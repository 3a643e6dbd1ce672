import pytest

from whorl.core.errors import ConfigError
from whorl.model.count import parameters
from whorl.model.families import Family

OLMO2 = Family.find("olmo2", frozenset())
PUBLIC_7B = {
    "model_type": "olmo2",
    "vocab_size": 100352,
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "intermediate_size": 11008,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-6,
    "rope_theta": 500000,
    "attention_bias": False,
    "hidden_act": "silu",
}


def test_olmo2_7b_reads_as_published():
    config = OLMO2.from_hub(PUBLIC_7B)
    assert (config.norm_at, config.qk_norm, config.kv_heads, config.tied) == ("output", "all", 32, False)
    # As llama: embeddings twice 100352 * 4096, layers of 4 * 4096^2 + 3 * 4096 * 11008, two norms and the final one of 4096;
    # besides, the norms of all queries and of all keys.
    layer = 4 * 4096**2 + 3 * 4096 * 11008 + 2 * 4096 + 2 * 4096
    assert parameters(config).total == 2 * 100352 * 4096 + 32 * layer + 4096 == 7_298_617_344


def test_norms_read_what_blocks_write(tiny, filled, some_ids):
    """With norm weights at zero a block writes nothing: the stream is the embedding."""
    model, ids = filled(tiny("olmo2")), some_ids(1, 5)
    for block in model.blocks:
        block.attn_norm.weight.data.zero_()
        block.mlp_norm.weight.data.zero_()
    assert model.norm(model.embed(ids)).equal(model(ids))


def test_a_model_normed_before_its_blocks_is_sent_elsewhere(tiny):
    with pytest.raises(ConfigError, match="the olmo2 layout cannot hold norm_at='pre'; use llama"):
        OLMO2.to_hub(tiny("llama"))


def test_biases_are_read_and_an_absent_epsilon_is_that_of_transformers():
    fields = {name: value for name, value in PUBLIC_7B.items() if name != "rms_norm_eps"}
    config = OLMO2.from_hub({**fields, "attention_bias": True})
    assert (config.attn_bias, config.out_bias, config.norm_eps) == (True, True, 1e-5)
