import json

import pytest

from whorl.core.errors import ConfigError, DataError
from whorl.model import checkpoint
from whorl.model.count import parameters
from whorl.model.families import Family

QWEN2 = Family.find("qwen2", frozenset())
PUBLIC_05B = {
    "model_type": "qwen2",
    "vocab_size": 151936,
    "hidden_size": 896,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "intermediate_size": 4864,
    "max_position_embeddings": 32768,
    "max_window_layers": 21,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "sliding_window": 32768,
    "use_sliding_window": False,
    "tie_word_embeddings": True,
    "hidden_act": "silu",
}


def test_qwen2_5_05b_reads_as_published():
    config = QWEN2.from_hub(PUBLIC_05B)
    assert (config.head_dim, config.attn_bias, config.out_bias, config.qk_norm, config.windows) == (64, True, False, "none", ())
    assert parameters(config).total == 494_032_768


def test_windows_begin_at_the_named_layer_when_they_are_used():
    windows = QWEN2.from_hub({**PUBLIC_05B, "use_sliding_window": True}).windows
    assert windows == (None,) * 21 + (32768,) * 3


def test_dials_say_the_same_windows():
    family = Family.model_validate({"use": "qwen2", "depth": 3, "window": 5, "full_layers": 2})
    config = family.configure(61, 32)
    assert config.windows == (None, None, 5)
    fields = QWEN2.to_hub(config)
    assert (fields["use_sliding_window"], fields["sliding_window"], fields["max_window_layers"]) == (True, 5, 2)
    assert Family.model_validate({"use": "qwen2", "depth": 3, "window": 5, "full_layers": 3}).configure(61, 32).windows == ()


def test_biases_are_as_the_name_says():
    with pytest.raises(DataError, match="attention_bias=False is not supported; want True"):
        QWEN2.from_hub({**PUBLIC_05B, "attention_bias": False})
    with pytest.raises(ConfigError, match="the qwen2 layout cannot hold attn_bias=False; use llama"):
        QWEN2.to_hub(QWEN2.from_hub(PUBLIC_05B).model_copy(update={"attn_bias": False}))


def published_tokenizer(folder, **changes):
    """tokenizer.json with the parts that the peer rebuilds as they were published."""
    words = {"type": "Split", "pattern": {"Regex": QWEN2.split}, "behavior": "Isolated", "invert": False}
    parts = {
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [words, {"type": "ByteLevel"}]},
    }
    (folder / "tokenizer.json").write_text(json.dumps({**parts, **changes}))
    return folder


@pytest.mark.parametrize("changes", [{"normalizer": None}, {"pre_tokenizer": {"type": "ByteLevel"}}, {"pre_tokenizer": None}])
def test_a_tokenizer_that_transformers_would_silently_rebuild_is_refused(changes, tiny, filled, tmp_path):
    folder = published_tokenizer(tmp_path, **changes)
    with pytest.raises(ConfigError, match="some texts get other ids than here; use qwen3 or llama"):
        checkpoint.save(tmp_path / "out", filled(tiny("qwen2")), family="qwen2", tokenizer_folder=folder)
    assert not (tmp_path / "out").exists()
    checkpoint.save(tmp_path / "out", filled(tiny("qwen3")), family="qwen3", tokenizer_folder=folder)


def test_the_published_tokenizer_is_taken(tiny, filled, tmp_path):
    folder = published_tokenizer(tmp_path)
    checkpoint.save(tmp_path / "out", filled(tiny("qwen2")), family="qwen2", tokenizer_folder=folder)
    assert (tmp_path / "out" / "tokenizer.json").is_file()
