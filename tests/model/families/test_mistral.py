import pytest

from whorl.core.errors import ConfigError, DataError
from whorl.model.count import flops_per_token, parameters
from whorl.model.families import Family

MISTRAL = Family.find("mistral", frozenset())
PUBLIC_7B = {
    "model_type": "mistral",
    "vocab_size": 32000,
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-5,
    "sliding_window": 4096,
    "hidden_act": "silu",
}


def test_mistral_7b_reads_as_published():
    config = MISTRAL.from_hub(PUBLIC_7B)
    assert (config.kv_heads, config.head_dim, config.windows) == (8, 128, (4096,) * 32)
    assert parameters(config).total == 7_241_732_096


def test_later_ones_have_no_window_and_an_absent_one_is_4096():
    assert MISTRAL.from_hub({**PUBLIC_7B, "sliding_window": None}).windows == ()
    absent = {name: value for name, value in PUBLIC_7B.items() if name not in ("sliding_window", "num_key_value_heads")}
    config = MISTRAL.from_hub(absent)
    assert (config.windows[0], config.kv_heads) == (4096, 8)


def test_a_window_saves_the_attention_it_cuts_off(tiny):
    full, windowed = (tiny("mistral", window=window) for window in (None, 2))
    # Of 4 tokens, queries see 1 2 2 2 keys instead of 1 2 3 4: 0.75 fewer on average, 2 * 32 multiply-adds each, in 2 layers.
    assert flops_per_token(full, 4) - flops_per_token(windowed, 4) == 6 * 2 * 2 * 32 * 0.75


@pytest.mark.parametrize("windows", [(3, None), (3, 4)])
def test_layers_that_differ_have_no_place(windows, tiny):
    with pytest.raises(ConfigError, match="the mistral layout cannot hold windows="):
        MISTRAL.to_hub(tiny("mistral").model_copy(update={"windows": windows}))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"layer_types": ["full_attention"] * 32}, "layer_types="),
        ({"sliding_window": 0}, "want at least 1 position"),
        ({"attention_bias": True}, "attention_bias=True"),
    ],
)
def test_what_the_layout_does_not_know_is_refused(fields, named):
    with pytest.raises(DataError, match=named):
        MISTRAL.from_hub({**PUBLIC_7B, **fields})
